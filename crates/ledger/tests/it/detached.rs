//! Detached signatures against the tools that people have: `ssh-keygen` and `gpg`. Each direction:
//! what we sign they verify, what they sign we verify, and what is damaged nobody does.

#[cfg(any(feature = "ssh", feature = "openpgp"))]
mod with_tools {
    use std::fs;
    use std::path::Path;
    use std::process::{Command, Output, Stdio};

    use carnet_ledger::EventTime;
    use carnet_ledger::detached::{
        APPROVAL_NAMESPACE, Believed, DetachedAnswer, DetachedError, DetachedSigner,
        MANIFEST_NAMESPACE, SignatureForm, check_detached,
    };
    use carnet_ledger::trust::TrustFile;

    const MESSAGE: &[u8] = b"{\n  \"snapshot_id\": \"20261121T120000Z\"\n}\n";

    fn now() -> EventTime {
        #[expect(
            clippy::disallowed_methods,
            reason = "the tools that are called use the clock too"
        )]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
        EventTime::from_unix_millis(i64::try_from(since.as_millis()).unwrap()).unwrap()
    }

    fn run(program: &str, home: &Path, words: &[&str], input: Option<&Path>) -> Output {
        let stdin = input.map_or(Stdio::null(), |path| fs::File::open(path).unwrap().into());
        Command::new(program)
            .args(words)
            .current_dir(home)
            .env("GNUPGHOME", home)
            .stdin(stdin)
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}: run ./test, which installs it"))
    }

    fn done(program: &str, home: &Path, words: &[&str], input: Option<&Path>) -> String {
        let output = run(program, home, words, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program} {words:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn trust(text: &str) -> TrustFile {
        TrustFile::parse(text.as_bytes()).unwrap()
    }

    fn believed<'a>(trust: &'a TrustFile, openpgp_keys: Option<&'a [u8]>) -> Believed<'a> {
        Believed { trust, openpgp_keys, namespace: MANIFEST_NAMESPACE, by: None, now: now() }
    }

    fn answer(
        form: SignatureForm,
        signature: &[u8],
        message: &[u8],
        trust: &TrustFile,
        keys: Option<&[u8]>,
    ) -> DetachedAnswer {
        let believed = believed(trust, keys);
        check_detached(form, Some(signature), message, &believed).unwrap()
    }

    fn is_bad(answer: &DetachedAnswer) -> bool {
        matches!(answer, DetachedAnswer::Bad { .. })
    }

    /// A character of the armour stands for six bits. Not all of an OpenPGP signature is signed (its
    /// hint at the key is not), but its last line of numbers is the signature itself.
    fn no_other_character_is_good(
        form: SignatureForm,
        signature: &[u8],
        trust: &TrustFile,
        keys: Option<&[u8]>,
    ) {
        let text = String::from_utf8(signature.to_vec()).unwrap();
        let body: Vec<_> =
            text.lines().filter(|line| !line.is_empty() && !line.starts_with(['-', '='])).collect();
        let lines = if form == SignatureForm::Ssh { &body[..] } else { &body[body.len() - 1..] };
        let mut tried = 0;
        for line in lines {
            for (at, c) in line.char_indices().step_by(3) {
                let other = if c == 'A' { 'B' } else { 'A' };
                let damaged = format!("{}{other}{}", &line[..at], &line[at + 1..]);
                let damaged = text.replacen(*line, &damaged, 1);
                let found = answer(form, damaged.as_bytes(), MESSAGE, trust, keys);
                assert!(!matches!(found, DetachedAnswer::Good { .. }), "{damaged}");
                tried += 1;
            }
        }
        assert!(tried >= 3, "{text}");
    }

    #[cfg(feature = "ssh")]
    #[test]
    fn ssh_keygen_and_we_understand_one_another() {
        let form = SignatureForm::Ssh;
        for kind in ["ed25519", "ecdsa"] {
            let home = tempfile::tempdir().unwrap();
            let at = home.path();
            done("ssh-keygen", at, &["-q", "-t", kind, "-N", "", "-C", "ops", "-f", "key"], None);
            fs::write(at.join("message"), MESSAGE).unwrap();
            let public = fs::read_to_string(at.join("key.pub")).unwrap();
            fs::write(at.join("signers"), format!("ops@example.org {public}")).unwrap();
            let signers = trust(&format!("ops@example.org {public}"));
            let signer = DetachedSigner::read(form, &fs::read(at.join("key")).unwrap()).unwrap();
            assert!(signer.key().starts_with("SHA256:"));
            let ours = signer.sign(MANIFEST_NAMESPACE, MESSAGE, now(), &[1; 32]).unwrap();
            fs::write(at.join("ours.sig"), &ours).unwrap();
            let verify = [
                "-Y",
                "verify",
                "-f",
                "signers",
                "-I",
                "ops@example.org",
                "-n",
                "carnet-manifest",
                "-s",
                "ours.sig",
            ];
            done("ssh-keygen", at, &verify, Some(&at.join("message")));
            fs::write(at.join("other"), b"another message").unwrap();
            assert!(!run("ssh-keygen", at, &verify, Some(&at.join("other"))).status.success());

            let sign = ["-q", "-Y", "sign", "-f", "key", "-n", "carnet-manifest", "message"];
            done("ssh-keygen", at, &sign, None);
            let theirs = fs::read(at.join("message.sig")).unwrap();
            for signature in [ours.as_bytes(), &theirs] {
                let good = DetachedAnswer::Good {
                    key: signer.key(),
                    principal: "ops@example.org".to_owned(),
                };
                assert_eq!(answer(form, signature, MESSAGE, &signers, None), good);
                assert!(is_bad(&answer(form, signature, b"another", &signers, None)));
                no_other_character_is_good(form, signature, &signers, None);
            }
            let unknown = answer(form, &theirs, MESSAGE, &trust(""), None);
            let why = "it is not in the trust file";
            assert_eq!(unknown, DetachedAnswer::UnknownKey { key: signer.key(), why });
            let late = trust(&format!("ops valid-before=\"20200101\" {public}"));
            let why = "the trust file does not believe it at this time";
            let found = answer(form, &theirs, MESSAGE, &late, None);
            assert_eq!(found, DetachedAnswer::UnknownKey { key: signer.key(), why });
            let other = trust(&format!("ops namespaces=\"git\" {public}"));
            let why = "the trust file believes it for other purposes only";
            let found = answer(form, &theirs, MESSAGE, &other, None);
            assert_eq!(found, DetachedAnswer::UnknownKey { key: signer.key(), why });

            // A signature for another purpose is none, whoever made it.
            fs::remove_file(at.join("message.sig")).unwrap();
            done(
                "ssh-keygen",
                at,
                &["-q", "-Y", "sign", "-f", "key", "-n", "git", "message"],
                None,
            );
            let git = fs::read(at.join("message.sig")).unwrap();
            assert!(is_bad(&answer(form, &git, MESSAGE, &signers, None)));
        }
    }

    /// An approval counts as one only, and for the person whose key it is.
    #[cfg(feature = "ssh")]
    #[test]
    fn a_signature_counts_for_its_purpose_and_its_person() {
        let (form, home) = (SignatureForm::Ssh, tempfile::tempdir().unwrap());
        let at = home.path();
        done("ssh-keygen", at, &["-q", "-t", "ed25519", "-N", "", "-f", "key"], None);
        let public = fs::read_to_string(at.join("key.pub")).unwrap();
        let signers = trust(&format!("ops@example.org,lead {public}"));
        let signer = DetachedSigner::read(form, &fs::read(at.join("key")).unwrap()).unwrap();
        let made = |namespace| signer.sign(namespace, MESSAGE, now(), &[1; 32]).unwrap();
        let check = |signature: &str, namespace, by| {
            let believed = Believed { namespace, by, ..believed(&signers, None) };
            check_detached(form, Some(signature.as_bytes()), MESSAGE, &believed).unwrap()
        };
        let approval = made(APPROVAL_NAMESPACE);
        for by in [None, Some("lead"), Some("ops@example.org")] {
            let found = check(&approval, APPROVAL_NAMESPACE, by);
            assert!(matches!(found, DetachedAnswer::Good { .. }), "{found:?}");
        }
        let why = "the trust file believes it of somebody else only";
        let unknown = DetachedAnswer::UnknownKey { key: signer.key(), why };
        assert_eq!(check(&approval, APPROVAL_NAMESPACE, Some("eve")), unknown);
        assert!(is_bad(&check(&approval, MANIFEST_NAMESPACE, None)));
        assert!(is_bad(&check(&made(MANIFEST_NAMESPACE), APPROVAL_NAMESPACE, Some("lead"))));
        assert_eq!(signer.public_key(), Ok(None));
    }

    #[cfg(feature = "ssh")]
    #[test]
    fn ssh_keys_that_cannot_sign_are_refused_by_name() {
        let home = tempfile::tempdir().unwrap();
        let at = home.path();
        let read = |name: &str| {
            DetachedSigner::read(SignatureForm::Ssh, &fs::read(at.join(name)).unwrap()).unwrap_err()
        };
        done("ssh-keygen", at, &["-q", "-t", "ed25519", "-N", "secret", "-f", "locked"], None);
        assert_eq!(read("locked"), DetachedError::Locked);
        done("ssh-keygen", at, &["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", "rsa"], None);
        assert_eq!(read("rsa"), DetachedError::Algorithm("ssh-rsa".to_owned()));
        assert!(matches!(read("locked.pub"), DetachedError::Key { .. }));
        fs::write(at.join("garbage"), [0xFF; 100]).unwrap();
        assert!(matches!(read("garbage"), DetachedError::Key { .. }));
    }

    #[cfg(feature = "openpgp")]
    #[test]
    fn gpg_and_we_understand_one_another() {
        let form = SignatureForm::OpenPgp;
        for (kind, subkey) in [("ed25519", None), ("rsa2048", None), ("ed25519", Some("ed25519"))] {
            let home = tempfile::tempdir().unwrap();
            let at = home.path();
            let print = gpg_key(at, kind, subkey);
            fs::write(at.join("message"), MESSAGE).unwrap();
            let secret = done("gpg", at, &["-q", "--armor", "--export-secret-keys", &print], None);
            let public = done("gpg", at, &["-q", "--armor", "--export", &print], None);
            let signers = trust(&format!("ops@example.org openpgp {print}"));
            let signer = DetachedSigner::read(form, secret.as_bytes()).unwrap();
            assert_eq!(signer.key(), print);
            let ours = signer.sign(MANIFEST_NAMESPACE, MESSAGE, now(), &[1; 32]).unwrap();
            fs::write(at.join("ours.asc"), &ours).unwrap();
            done("gpg", at, &["--verify", "ours.asc", "message"], None);
            fs::write(at.join("other"), b"another message").unwrap();
            assert!(!run("gpg", at, &["--verify", "ours.asc", "other"], None).status.success());

            done("gpg", at, &["-q", "--batch", "--armor", "--detach-sign", "message"], None);
            let theirs = fs::read(at.join("message.asc")).unwrap();
            let keys = Some(public.as_bytes());
            for signature in [ours.as_bytes(), &theirs] {
                let good = DetachedAnswer::Good {
                    key: print.clone(),
                    principal: "ops@example.org".to_owned(),
                };
                assert_eq!(answer(form, signature, MESSAGE, &signers, keys), good);
                assert!(is_bad(&answer(form, signature, b"another", &signers, keys)));
                no_other_character_is_good(form, signature, &signers, keys);
            }
            let unknown = |found: DetachedAnswer, expected: &str| {
                let DetachedAnswer::UnknownKey { why, .. } = found else { panic!("{found:?}") };
                assert_eq!(why, expected);
            };
            let found = answer(form, &theirs, MESSAGE, &signers, None);
            unknown(found, "no public key that was given may have made it");
            let found = answer(form, &theirs, MESSAGE, &trust(""), keys);
            unknown(found, "it is not in the trust file");
            let late = trust(&format!("ops valid-before=\"20200101\" openpgp {print}"));
            let found = answer(form, &theirs, MESSAGE, &late, keys);
            unknown(found, "the trust file does not believe it at this time");

            done(
                "gpg",
                at,
                &[
                    "-q",
                    "--batch",
                    "--yes",
                    "--armor",
                    "--digest-algo",
                    "SHA1",
                    "--detach-sign",
                    "message",
                ],
                None,
            );
            let weak = fs::read(at.join("message.asc")).unwrap();
            assert!(is_bad(&answer(form, &weak, MESSAGE, &signers, keys)));
            done(
                "gpg",
                at,
                &["-q", "--batch", "--yes", "--armor", "--textmode", "--detach-sign", "message"],
                None,
            );
            let text = fs::read(at.join("message.asc")).unwrap();
            assert!(is_bad(&answer(form, &text, MESSAGE, &signers, keys)));
        }
    }

    #[cfg(feature = "openpgp")]
    #[test]
    fn openpgp_keys_that_may_not_sign_do_not() {
        let home = tempfile::tempdir().unwrap();
        let at = home.path();
        let print = gpg_key(at, "ed25519", None);
        fs::write(at.join("message"), MESSAGE).unwrap();
        done("gpg", at, &["-q", "--batch", "--armor", "--detach-sign", "message"], None);
        let signature = fs::read(at.join("message.asc")).unwrap();
        // gpg prepares a certificate of revocation; the colon in front keeps it from being used.
        let prepared = at.join(format!("openpgp-revocs.d/{print}.rev"));
        let revocation = fs::read_to_string(prepared).unwrap().replace(":-----BEGIN", "-----BEGIN");
        fs::write(at.join("revocation"), revocation).unwrap();
        done("gpg", at, &["-q", "--batch", "--import", "revocation"], None);
        let public = done("gpg", at, &["-q", "--armor", "--export", &print], None);
        let signers = trust(&format!("ops openpgp {print}"));
        let form = SignatureForm::OpenPgp;
        let found = answer(form, &signature, MESSAGE, &signers, Some(public.as_bytes()));
        let why = "its owner revoked it";
        assert_eq!(found, DetachedAnswer::UnknownKey { key: print, why });

        let home = tempfile::tempdir().unwrap();
        let at = home.path();
        let words = [
            "-q",
            "--batch",
            "--passphrase",
            "secret",
            "--quick-gen-key",
            "ops",
            "ed25519",
            "sign",
            "never",
        ];
        done("gpg", at, &words, None);
        let words = [
            "-q",
            "--batch",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "secret",
            "--armor",
            "--export-secret-keys",
        ];
        let locked = done("gpg", at, &words, None);
        let refused = DetachedSigner::read(form, locked.as_bytes()).unwrap_err();
        assert_eq!(refused, DetachedError::Locked);

        let home = tempfile::tempdir().unwrap();
        let at = home.path();
        let words = [
            "-q",
            "--batch",
            "--passphrase",
            "",
            "--quick-gen-key",
            "ops",
            "ed25519",
            "cert",
            "never",
        ];
        done("gpg", at, &words, None);
        let secret = done("gpg", at, &["-q", "--armor", "--export-secret-keys"], None);
        let refused = DetachedSigner::read(form, secret.as_bytes()).unwrap_err();
        assert!(refused.to_string().contains("no part of it may sign"), "{refused}");
        let public = done("gpg", at, &["-q", "--armor", "--export"], None);
        let refused = DetachedSigner::read(form, public.as_bytes()).unwrap_err();
        assert!(matches!(refused, DetachedError::Key { .. }), "{refused}");
        for garbage in [b"".as_slice(), b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n", &[0xC5; 90]] {
            assert!(DetachedSigner::read(form, garbage).is_err());
        }
        let believed = believed(&signers, Some(b"no keys"));
        assert!(check_detached(form, Some(&signature), MESSAGE, &believed).is_err());
    }

    /// A key without a passphrase; gives its fingerprint. With a subkey, the primary only certifies.
    #[cfg(feature = "openpgp")]
    fn gpg_key(home: &Path, kind: &str, subkey: Option<&str>) -> String {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(home, fs::Permissions::from_mode(0o700)).unwrap();
        let usage = if subkey.is_some() { "cert" } else { "sign" };
        let quick = ["-q", "--batch", "--passphrase", ""];
        let make =
            [&quick[..], &["--quick-gen-key", "ops <ops@example.org>", kind, usage, "never"]];
        done("gpg", home, &make.concat(), None);
        let listed = done("gpg", home, &["--batch", "--with-colons", "--list-keys"], None);
        let print = listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap();
        let print = print.trim_end_matches(':').to_owned();
        if let Some(kind) = subkey {
            let add = [&quick[..], &["--quick-add-key", &print, kind, "sign", "never"]];
            done("gpg", home, &add.concat(), None);
        }
        print
    }

    #[test]
    fn no_file_is_missing_and_a_large_one_is_bad() {
        let trust = trust("");
        let believed = believed(&trust, None);
        for form in SignatureForm::ALL {
            assert_eq!(check_detached(form, None, MESSAGE, &believed), Ok(DetachedAnswer::Missing));
            let large = vec![b'x'; 1 << 17];
            let found = check_detached(form, Some(&large), MESSAGE, &believed).unwrap();
            assert!(is_bad(&found));
        }
    }
}

/// A build without a form says so by name.
#[cfg(not(all(feature = "ssh", feature = "openpgp")))]
#[test]
fn what_is_left_out_is_named() {
    use carnet_ledger::detached::{
        Believed, DetachedError, DetachedSigner, MANIFEST_NAMESPACE, SignatureForm, check_detached,
    };
    let trust = carnet_ledger::trust::TrustFile::default();
    let now = carnet_ledger::EventTime::from_unix_millis(0).unwrap();
    let namespace = MANIFEST_NAMESPACE;
    let believed = Believed { trust: &trust, openpgp_keys: None, namespace, by: None, now };
    for form in SignatureForm::ALL {
        if cfg!(feature = "ssh") && form == SignatureForm::Ssh {
            continue;
        }
        let missing = DetachedError::Feature(form);
        assert_eq!(DetachedSigner::read(form, b"").unwrap_err(), missing);
        assert_eq!(check_detached(form, Some(b""), b"", &believed), Err(missing.clone()));
        let said = format!("this build was made without the feature `{form}`");
        assert_eq!(missing.to_string(), said);
    }
}
