//! What looks like a secret in an image: a short list of names of files, and of what stands in them.
//! Pure, and a piece at a time: a file may be of any length.

use serde::{Deserialize, Serialize};

/// A sign of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSign {
    /// The name of a private key of SSH: `id_rsa`, `id_dsa`, `id_ecdsa`, `id_ed25519`.
    SshKeyFile,
    /// An environment file: `.env`, `.env.NAME`, but for `example`, `sample` and `template`.
    EnvFile,
    /// A file in which programs keep credentials: `.netrc`, `.pgpass`, `.git-credentials`, `.pypirc`,
    /// `.aws/credentials`, `.docker/config.json`, `.kube/config`.
    CredentialsFile,
    /// A store of keys: `*.p12`, `*.pfx`, `*.jks`, `*.ppk`.
    KeyStore,
    /// The state of Terraform, which holds secrets in the open: `*.tfstate`.
    TerraformState,
    /// A private key in PEM: its first line with what follows.
    PrivateKey,
    /// The id of a key of AWS: `AKIA` or `ASIA` and sixteen capital letters and digits; those that
    /// end in `EXAMPLE` are the ones of the handbook.
    AwsKeyId,
    /// `aws_secret_access_key`, set to forty characters.
    AwsSecretKey,
    /// A token of GitHub: `ghp_`, `gho_`, `ghu_`, `ghs_` or `ghr_` and 36 letters and digits.
    GithubToken,
}

impl SecretSign {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::SshKeyFile,
        Self::EnvFile,
        Self::CredentialsFile,
        Self::KeyStore,
        Self::TerraformState,
        Self::PrivateKey,
        Self::AwsKeyId,
        Self::AwsSecretKey,
        Self::GithubToken,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SshKeyFile => "ssh_key_file",
            Self::EnvFile => "env_file",
            Self::CredentialsFile => "credentials_file",
            Self::KeyStore => "key_store",
            Self::TerraformState => "terraform_state",
            Self::PrivateKey => "private_key",
            Self::AwsKeyId => "aws_key_id",
            Self::AwsSecretKey => "aws_secret_key",
            Self::GithubToken => "github_token",
        }
    }

    /// What the path of a file says.
    pub fn of_path(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        let ends = |end: &str| path == end || path.ends_with(&format!("/{end}"));
        if matches!(name, "id_rsa" | "id_dsa" | "id_ecdsa" | "id_ed25519") {
            return Some(Self::SshKeyFile);
        }
        if name == ".env"
            || name.starts_with(".env.") && !matches!(extension, "example" | "sample" | "template")
        {
            return Some(Self::EnvFile);
        }
        if matches!(name, ".netrc" | ".pgpass" | ".git-credentials" | ".pypirc")
            || [".aws/credentials", ".docker/config.json", ".kube/config"].into_iter().any(ends)
        {
            return Some(Self::CredentialsFile);
        }
        match extension {
            "p12" | "pfx" | "jks" | "ppk" => Some(Self::KeyStore),
            "tfstate" => Some(Self::TerraformState),
            _ => None,
        }
    }
}

/// No sign is longer, with what stands around it.
const LOOK: usize = 256;

/// Looks for signs in a file that is handed over piece by piece.
#[derive(Debug, Default)]
pub struct SecretScan {
    /// What was not decided yet, after one byte that was.
    kept: Vec<u8>,
    started: bool,
    found: Option<SecretSign>,
}

impl SecretScan {
    /// Takes the next piece.
    pub fn feed(&mut self, piece: &[u8]) {
        if self.found.is_some() {
            return;
        }
        self.kept.extend_from_slice(piece);
        let decided = self.kept.len().saturating_sub(LOOK);
        if decided > 1 {
            self.scan(decided);
            self.kept.drain(..decided - 1);
            self.started = true;
        }
    }

    /// The first sign that was found in the whole file.
    pub fn finish(mut self) -> Option<SecretSign> {
        self.scan(self.kept.len());
        self.found
    }

    /// Looks at the places before `end`.
    fn scan(&mut self, end: usize) {
        let first = usize::from(self.started);
        for at in first..end {
            if self.found.is_some() {
                return;
            }
            let Some(rest) = self.kept.get(at..) else { return };
            let before = at.checked_sub(1).and_then(|before| self.kept.get(before)).copied();
            self.found = sign_at(before, rest);
        }
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The sign that begins here.
fn sign_at(before: Option<u8>, rest: &[u8]) -> Option<SecretSign> {
    match rest.first()? {
        b'-' => is_private_key(rest).then_some(SecretSign::PrivateKey),
        b'A' if before.is_none_or(|it| !is_word(it)) && is_key_id(rest) => {
            Some(SecretSign::AwsKeyId)
        }
        b'A' | b'a' => is_secret_key(rest).then_some(SecretSign::AwsSecretKey),
        b'g' if before.is_none_or(|it| !is_word(it)) => {
            is_github(rest).then_some(SecretSign::GithubToken)
        }
        _ => None,
    }
}

/// The first line of a private key, and something of the key. Programs that write such keys hold the
/// line alone.
fn is_private_key(rest: &[u8]) -> bool {
    let Some(rest) = rest.strip_prefix(b"-----BEGIN ") else { return false };
    let kind = rest.iter().take_while(|it| it.is_ascii_uppercase() || **it == b' ').count();
    let Some((kind, rest)) = rest.split_at_checked(kind) else { return false };
    let Some(rest) = rest.strip_prefix(b"-----") else { return false };
    if !kind.ends_with(b"PRIVATE KEY") {
        return false;
    }
    // In JSON and in source the line ends are written out.
    let ends: [&[u8]; 4] = [b"\r\n", b"\n", b"\\r\\n", b"\\n"];
    let Some(rest) = ends.into_iter().find_map(|end| rest.strip_prefix(end)) else { return false };
    let base64 = |it: &u8| it.is_ascii_alphanumeric() || b"+/=".contains(it);
    rest.starts_with(b"Proc-Type:") || rest.iter().take_while(|it| base64(it)).count() >= 32
}

fn is_key_id(rest: &[u8]) -> bool {
    let Some((id, after)) = rest.split_at_checked(20) else { return false };
    (id.starts_with(b"AKIA") || id.starts_with(b"ASIA"))
        && id.iter().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit())
        && !id.ends_with(b"EXAMPLE")
        && after.first().is_none_or(|it| !is_word(*it))
}

fn is_secret_key(rest: &[u8]) -> bool {
    const NAME: &[u8] = b"aws_secret_access_key";
    let Some((name, rest)) = rest.split_at_checked(NAME.len()) else { return false };
    if !name.eq_ignore_ascii_case(NAME) {
        return false;
    }
    let skipped = rest.iter().take(16).take_while(|it| b" \t\"'=:\\".contains(it)).count();
    let Some((between, value)) = rest.split_at_checked(skipped) else { return false };
    let length =
        value.iter().take(41).take_while(|it| it.is_ascii_alphanumeric() || b"+/".contains(it));
    let value = value.get(..40).unwrap_or_default();
    between.iter().any(|it| b"=:".contains(it))
        && length.count() == 40
        && !value.ends_with(b"EXAMPLEKEY")
}

fn is_github(rest: &[u8]) -> bool {
    let Some((prefix, rest)) = rest.split_at_checked(4) else { return false };
    let token = rest.iter().take(37).take_while(|it| it.is_ascii_alphanumeric()).count();
    [b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"].iter().any(|it| prefix == *it) && token == 36
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(text: &[u8]) -> Option<SecretSign> {
        let mut scan = SecretScan::default();
        scan.feed(text);
        scan.finish()
    }

    fn key(kind: &str) -> String {
        format!("-----BEGIN {kind}PRIVATE KEY-----\n{}\n", "MIIE".repeat(16))
    }

    #[test]
    fn names_of_files() {
        use SecretSign::{CredentialsFile, EnvFile, KeyStore, SshKeyFile, TerraformState};
        for (path, sign) in [
            ("root/.ssh/id_rsa", Some(SshKeyFile)),
            ("id_ed25519", Some(SshKeyFile)),
            ("id_rsa.pub", None),
            ("app/.env", Some(EnvFile)),
            ("app/.env.production", Some(EnvFile)),
            ("app/.env.example", None),
            ("app/environment", None),
            ("root/.aws/credentials", Some(CredentialsFile)),
            ("credentials", None),
            ("root/.kube/config", Some(CredentialsFile)),
            ("etc/ssl/server.p12", Some(KeyStore)),
            ("infra/terraform.tfstate", Some(TerraformState)),
            ("etc/ssl/certs/ca-certificates.crt", None),
        ] {
            assert_eq!(SecretSign::of_path(path), sign, "{path}");
        }
    }

    #[test]
    fn what_stands_in_files() {
        use SecretSign::{AwsKeyId, AwsSecretKey, GithubToken, PrivateKey};
        let id = format!("AKIA{}", "Q3".repeat(8));
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzzzz";
        for (text, found) in [
            (key("RSA "), Some(PrivateKey)),
            (key(""), Some(PrivateKey)),
            (key("OPENSSH ").replace('\n', "\\n"), Some(PrivateKey)),
            (key("EC ").replace('\n', "\r\n"), Some(PrivateKey)),
            ("-----BEGIN PRIVATE KEY-----\0".to_owned(), None),
            ("-----BEGIN PRIVATE KEY-----\nshort\n".to_owned(), None),
            (key("RSA ").replace("PRIVATE", "PUBLIC"), None),
            (id.clone(), Some(AwsKeyId)),
            (format!("X{id}"), None),
            (format!("{id}7"), None),
            ("AKIAIOSFODNN7EXAMPLE".to_owned(), None),
            (format!("aws_secret_access_key = {secret}"), Some(AwsSecretKey)),
            (format!("\"AWS_SECRET_ACCESS_KEY\": \"{secret}\""), Some(AwsSecretKey)),
            (format!("aws_secret_access_key = {secret}0"), None),
            (format!("aws_secret_access_key {secret}"), None),
            ("aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(), None),
            (format!("token=ghp_{}", "a1".repeat(18)), Some(GithubToken)),
            (format!("token=ghp_{}", "a1".repeat(19)), None),
            (String::new(), None),
        ] {
            assert_eq!(sign(text.as_bytes()), found, "{text}");
            // Wherever it stands, and however the file is cut into pieces.
            let around = format!("{}\n{text}\n{}", "x".repeat(1000), "y".repeat(1000));
            for size in [1, 7, 255, 256, 257, 1003, 5000] {
                let mut scan = SecretScan::default();
                around.as_bytes().chunks(size).for_each(|piece| scan.feed(piece));
                assert_eq!(scan.finish(), found, "{text} in pieces of {size}");
            }
        }
    }

    #[test]
    fn each_sign_has_a_name_of_its_own() {
        for sign in SecretSign::ALL {
            assert_eq!(serde_json::to_value(sign).unwrap(), sign.name());
        }
    }
}
