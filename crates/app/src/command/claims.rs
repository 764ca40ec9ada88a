//! `carnet claims`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use carnet_model::portability::DOCUMENT_BYTES_MAX;
use carnet_model::portability::claims::{Build, Claims, Environment as About};
use carnet_model::{Code, Exit, InputError};
use clap::Args;

use super::Setting;
use crate::amount;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// Print what this build on this machine can take in and send out, and what it cannot.
///
/// With --json it is the file that the other side compares with what a bundle needs.
#[derive(Debug, Args)]
pub(crate) struct ShowClaims {
    /// A file about the environment: jurisdictions, classifications, limits (`carnet schema
    /// environment`). It takes away from what the build can do, and adds nothing.
    #[arg(long, value_name = "FILE")]
    env: Option<PathBuf>,
}

impl ShowClaims {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let about = match &self.env {
            Some(path) => environment(path)?,
            None => About::unknown(),
        };
        setting.screen.show(&build().claims(&about), text)?;
        Ok(Exit::Done)
    }
}

/// What was compiled in, and what is installed.
fn build() -> Build {
    let there = Environment::has_program;
    Build {
        rego: cfg!(feature = "rego"),
        age: cfg!(feature = "age"),
        registry: cfg!(feature = "registry"),
        podman: there("podman"),
        qemu: there("qemu-system-x86_64") && there("qemu-img"),
        swtpm: there("swtpm"),
    }
}

fn environment(path: &Path) -> Result<About, Failure> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(DOCUMENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes =
        read().map_err(|error| Failure::io(format!("cannot read {}", path.display()), error))?;
    About::read(&bytes).map_err(|errors| malformed(path, &errors))
}

/// What is wrong with a document, every place of it.
fn malformed(path: &Path, errors: &[InputError]) -> Failure {
    let what = format!("{} is not a file about an environment", path.display());
    let failure = errors.iter().fold(Failure::new(Code::CLAIMS_MALFORMED, what), |failure, it| {
        failure.because(format!("{it}: {}", it.remedy))
    });
    failure.remedy("compare it with `carnet schema environment`")
}

const WIDTH: usize = 16;

fn text(claims: &Claims) -> String {
    let mut sheet = Sheet::default();
    let list = |words: Vec<String>| match words.as_slice() {
        [] => "none".to_owned(),
        words => words.join(", "),
    };
    let scenarios = |of: &[carnet_model::portability::Scenario]| {
        list(of.iter().map(|it| it.name().to_owned()).collect())
    };
    sheet.field("environment", WIDTH, &claims.environment);
    sheet.field("takes in", WIDTH, &scenarios(&claims.import));
    sheet.field("sends out", WIDTH, &scenarios(&claims.export));
    sheet.field("bundles", WIDTH, &list(claims.bundle_versions.clone()));
    let disk = &claims.disk;
    let formats = list(disk.formats.iter().map(|it| it.name().to_owned()).collect());
    let tpm = if disk.tpm { "with a TPM" } else { "without a TPM" };
    let most = amount::bytes(disk.virtual_bytes_max);
    sheet.field("disks", WIDTH, &format!("{formats}; at most {most}; {tpm}"));
    let runtimes = claims.runtimes.iter().map(|it| it.name().to_owned()).collect();
    sheet.field("runs by", WIDTH, &list(runtimes));
    sheet.field("evidence", WIDTH, &list(claims.evidence_profiles.clone()));
    sheet.field("hashes", WIDTH, &list(claims.hash_profiles.clone()));
    let policies = claims.policies.iter().map(|it| format!("{} by {}", it.language, it.engine));
    sheet.field("policies", WIDTH, &list(policies.collect()));
    sheet.field("encryption", WIDTH, &list(claims.encryption.clone()));
    sheet.field("jurisdictions", WIDTH, &list(claims.jurisdictions.clone()));
    sheet.field("classifications", WIDTH, &list(claims.classifications.clone()));
    sheet.gap();
    sheet.line("does not move");
    for limit in &claims.limits {
        let way = format!("{}; instead: {}", limit.why, limit.alternative.does());
        sheet.field(format!("  {}", limit.asset), 30, &way);
    }
    if !claims.absent.is_empty() {
        sheet.gap();
        sheet.line("is not there");
        for absent in &claims.absent {
            sheet.field("  -", 4, &format!("{}: {}; {}", absent.what, absent.why, absent.remedy));
        }
    }
    sheet.text()
}
