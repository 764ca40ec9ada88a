//! What this build on this machine can do, and what the environment makes of it.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ANY, Absent, AlternativePath, CLAIMS_VERSION, Claims, DiskClaim, DiskFormat, PolicyClaim,
    Runtime, StatefulAsset, StatefulLimit,
};
use crate::portability::{BUNDLE_VERSION, ContentType, Scenario, reading};

/// The size that a disk has at most if nothing is said: 16 TiB.
const VIRTUAL_BYTES_MAX: u64 = 16 << 40;

/// What was compiled in, and what is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact of its own")]
pub struct Build {
    /// The feature `rego`.
    pub rego: bool,
    /// The feature `age`.
    pub age: bool,
    /// The feature `registry`.
    pub registry: bool,
    /// podman is installed.
    pub podman: bool,
    /// qemu-system and qemu-img are installed.
    pub qemu: bool,
    /// swtpm is installed.
    pub swtpm: bool,
}

/// What a person says about an environment (the file of `carnet claims --env`). It can only take
/// away from what the build can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Carnet environment")]
pub struct Environment {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    pub environment: String,
    /// The scenarios that it takes in, of those that the build can; all, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<Vec<Scenario>>,
    /// The scenarios that it sends out, of those that the build can; all, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<Vec<Scenario>>,
    /// The jurisdictions whose content it takes; `*` for any.
    pub jurisdictions: Vec<String>,
    /// The classifications that it takes; `*` for any.
    pub classifications: Vec<String>,
    /// What disks it takes, of those that the build can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskLimit>,
    /// More stateful assets that it does not take, or other words for those that no bundle carries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<OwnLimit>,
}

/// What disks an environment takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct DiskLimit {
    /// Their formats; all that the build can, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formats: Option<Vec<DiskFormat>>,
    /// The size that a machine sees, at most, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_bytes_max: Option<u64>,
    /// Whether machines with a TPM are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<bool>,
}

/// A stateful asset that an environment does not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct OwnLimit {
    /// Which.
    pub asset: StatefulAsset,
    /// Why not.
    #[schemars(length(min = 1, max = 1_024))]
    pub why: String,
    /// The other way.
    pub alternative: AlternativePath,
}

impl Environment {
    /// The JSON Schema of the file.
    pub fn schema() -> Value {
        reading::schema_of::<Self>()
    }

    /// Reads the file: all that is wrong is told.
    pub fn read(bytes: &[u8]) -> Result<Self, Vec<InputError>> {
        reading::read(bytes)
    }

    /// An environment of which nothing is known but its name.
    pub fn unknown() -> Self {
        Self {
            environment: "this machine".to_owned(),
            import: None,
            export: None,
            jurisdictions: vec![ANY.to_owned()],
            classifications: vec![ANY.to_owned()],
            disk: None,
            limits: Vec::new(),
        }
    }
}

impl Build {
    fn imports(self, scenario: Scenario) -> bool {
        match scenario {
            Scenario::Container => self.podman,
            Scenario::Vm => self.qemu,
            Scenario::DataOnly | Scenario::EvidenceOnly => true,
        }
    }

    /// The claims of an environment that runs this build. Whoever exports needs no runtime.
    pub fn claims(self, environment: &Environment) -> Claims {
        let said = |list: &Option<Vec<Scenario>>, scenario: &Scenario| {
            list.as_ref().is_none_or(|list| list.contains(scenario))
        };
        let all = Scenario::ALL.into_iter();
        let import = all.clone().filter(|it| self.imports(*it) && said(&environment.import, it));
        let export = all.filter(|it| said(&environment.export, it));
        let given = |there: bool, word: &str| there.then(|| word.to_owned());
        Claims {
            version: CLAIMS_VERSION.to_owned(),
            environment: environment.environment.clone(),
            import: import.collect(),
            export: export.collect(),
            bundle_versions: vec![BUNDLE_VERSION.to_owned()],
            content_types: ContentType::ALL.to_vec(),
            disk: self.disk(environment.disk.as_ref()),
            runtimes: [(self.podman, Runtime::Podman), (self.qemu, Runtime::Qemu)]
                .into_iter()
                .filter_map(|(there, runtime)| there.then_some(runtime))
                .collect(),
            evidence_profiles: profiles(),
            hash_profiles: hashes(),
            policies: given(self.rego, "rego.v1")
                .map(|language| PolicyClaim { engine: "regorus".to_owned(), language })
                .into_iter()
                .collect(),
            encryption: given(self.age, "age-v1").into_iter().collect(),
            jurisdictions: environment.jurisdictions.clone(),
            classifications: environment.classifications.clone(),
            limits: limits(&environment.limits),
            absent: self.absent(),
        }
    }

    fn disk(self, said: Option<&DiskLimit>) -> DiskClaim {
        if !self.qemu {
            return DiskClaim::default();
        }
        let formats = [DiskFormat::Qcow2, DiskFormat::Raw].into_iter();
        let limits = said.and_then(|it| it.formats.as_ref());
        let taken = |format: &DiskFormat| limits.is_none_or(|list| list.contains(format));
        let most = said.and_then(|it| it.virtual_bytes_max).unwrap_or(VIRTUAL_BYTES_MAX);
        DiskClaim {
            formats: formats.filter(taken).collect(),
            virtual_bytes_max: most.min(VIRTUAL_BYTES_MAX),
            tpm: self.swtpm && said.and_then(|it| it.tpm).unwrap_or(true),
        }
    }

    fn absent(self) -> Vec<Absent> {
        let feature = |what: &str, name: &str| Absent {
            what: what.to_owned(),
            why: format!("the feature {name} was not compiled in"),
            remedy: format!("build with --features {name}"),
        };
        let program = |what: &str, name: &str| Absent {
            what: what.to_owned(),
            why: format!("{name} is not installed"),
            remedy: format!("install the package {name}"),
        };
        let facts = [
            (self.rego, feature("enforcing policies in Rego", "rego")),
            (self.age, feature("opening contents that are encrypted by age", "age")),
            (self.registry, feature("pushing to and pulling from registries", "registry")),
            (self.podman, program("running containers", "podman")),
            (self.qemu, program("running virtual machines", "qemu-system-x86")),
            (self.swtpm, program("the TPM of virtual machines", "swtpm")),
        ];
        facts.into_iter().filter_map(|(there, absent)| (!there).then_some(absent)).collect()
    }
}

fn profiles() -> Vec<String> {
    carnet_ledger::EvidenceProfile::ALL.iter().map(|it| it.name().to_owned()).collect()
}

fn hashes() -> Vec<String> {
    use carnet_ledger::HashProfile::{EcsHashV1, Rfc8785Sha256V1};
    [EcsHashV1, Rfc8785Sha256V1].map(|it| it.name().to_owned()).to_vec()
}

/// What no bundle carries, in the environment's own words where it has some.
fn limits(own: &[OwnLimit]) -> Vec<StatefulLimit> {
    StatefulAsset::ALL
        .into_iter()
        .map(|asset| match own.iter().find(|it| it.asset == asset) {
            Some(own) => {
                StatefulLimit { asset, why: own.why.clone(), alternative: own.alternative }
            }
            None => limit(asset),
        })
        .collect()
}

fn limit(asset: StatefulAsset) -> StatefulLimit {
    let (why, alternative) = match asset {
        StatefulAsset::VolumeClaim => (
            "a volume belongs to the provider that manages it, and is not in the bundle",
            AlternativePath::ObjectExport,
        ),
        StatefulAsset::ManagedDatabaseInternals => (
            "the files of a managed database belong to the provider, and fit no other server",
            AlternativePath::SnapshotExport,
        ),
        StatefulAsset::HostPath => {
            ("a folder of the machine stays with the machine", AlternativePath::ObjectExport)
        }
        StatefulAsset::HostDevice => {
            ("a device of the machine stays with the machine", AlternativePath::EvidenceOnly)
        }
    };
    StatefulLimit { asset, why: why.to_owned(), alternative }
}
