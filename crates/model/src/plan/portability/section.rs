//! What a plan of `portability/v1` says: what crosses, from where to where, and under which rules.
//!
//! The section is read by its own JSON Schema: these types carry it.

use carnet_document::{InputError, input_errors};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::plan::knowledge::{ImportMode, Process};
use crate::plan::schema;
use crate::portability::Scenario;

/// A plan that moves a workload, data or evidence from one environment to another in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Crossing {
    /// The process that is run.
    pub process: Process,
    /// What crosses, from where to where, and under which rules. `carnet schema portability` prints
    /// its keys.
    #[schemars(with = "Map<String, Value>")]
    pub portability: Portability,
}

/// What crosses, from where to where, and under which rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Portability {
    /// What crosses: a container, a virtual machine, data alone, or evidence alone.
    pub scenario: Scenario,
    /// The name of the workload; only with `container` and `vm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_.-]{0,62}$"))]
    pub workload_id: Option<String>,
    /// The environment that it leaves.
    pub source: Origin,
    /// The environment that it enters.
    pub target: Destination,
    /// Where the bundle is made, and where it arrives.
    pub transfer: Carriage,
    /// The rules that decide on both sides; they travel with the bundle.
    pub policy: PolicyFolder,
    /// The parts and the provenance of what crosses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supply_chain: Option<SupplyChain>,
    /// For whom sensitive contents are encrypted. Without it nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypt: Option<Encrypt>,
    /// For how long clients must expect to be without the workload: an ISO 8601 duration such as
    /// PT5M; PT0S if they notice nothing.
    #[schemars(regex(pattern = r"^P(T[0-9]|[0-9]).*$"), length(max = 40))]
    pub downtime_expected: String,
    /// The gates that show that what was placed is well. At least one where a workload moves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<Health>,
    /// What points clients to the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cutover: Option<SwitchOver>,
    /// Which part of the plan is run, where only one side of the border is at hand.
    #[serde(skip)]
    #[schemars(skip)]
    pub(crate) side: Option<Side>,
}

impl Portability {
    /// The JSON Schema of the section.
    pub fn schema() -> Value {
        schema::of::<Self>()
    }

    /// Reads what stands in a plan under `portability`: all that is wrong is told.
    pub fn read_value(value: &Value) -> Result<Self, Vec<InputError>> {
        let errors = input_errors(&Self::schema(), value);
        if !errors.is_empty() {
            return Err(errors);
        }
        Self::deserialize(value).map_err(|error| {
            let remedy = "`carnet schema portability` shows what stands here";
            vec![InputError::new("", error.to_string(), remedy)]
        })
    }
}

/// One side of the border, with the bundle that leaves or enters there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// What is done up to the bundle.
    Export {
        /// Where the bundle is made.
        bundle: String,
    },
    /// What is done with a bundle that has arrived.
    Import {
        /// Where it is.
        bundle: String,
        /// The file with the key that opens what is encrypted.
        identity: Option<String>,
    },
}

/// The environment that something leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Its name, such as lab.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// The container, with `container`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// The virtual machine, with `vm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// The data, with `data_only`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    /// The part of another run's log, with `evidence_only`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidencePart>,
    /// The file with governance metadata that came with what crosses. Without it the bundle says
    /// what `governance` of the plan says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub governance: Option<String>,
    /// The file with receipts of uses of the data, one JSON object a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub usage_receipts: Option<String>,
    /// The file in which the environment says what it can do, as `carnet claims --json` prints it; it
    /// travels along.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub claims: Option<String>,
    /// The program that stops the workload in the cutover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<Program>,
    /// The program that starts it again on every way back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Program>,
}

/// A container: its image, and how it is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// The image: `oci:DIR`, `docker-archive:FILE` or `docker://HOST/NAME@sha256:DIGEST`.
    #[schemars(regex(pattern = r"^(oci|docker-archive|docker):.+$"), length(max = 4096))]
    pub image: String,
    /// How it is run: a file `compose.yaml` of the subset in docs/portability.md, or `kube.yaml`.
    #[schemars(length(min = 1, max = 4096))]
    pub definition: String,
    /// The folder with the files that it reads; the definition mounts them as `config/…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub config: Option<String>,
}

/// A virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its disk: a file in the format qcow2 or raw.
    #[schemars(length(min = 1, max = 4096))]
    pub disk: String,
    /// The variables of its UEFI firmware.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub firmware_vars: Option<String>,
    /// How many processors it has.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub processors: u32,
    /// How much memory it has, in MiB.
    #[schemars(range(min = 16, max = 1_048_576))]
    pub memory_mib: u32,
    /// Whether it has a TPM. Its state must then be named.
    #[serde(default)]
    pub tpm: bool,
    /// The folder with the state of its TPM, as swtpm keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub tpm_state: Option<String>,
    /// The folder with statements that its TPM or its host signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub attestation: Option<String>,
}

/// Data: exactly one of store, snapshot and parquet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// A store of which a snapshot is written: faiss:DIR, sqlite:FILE or postgres://….
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(faiss:.|sqlite:.|postgres(ql)?://.)"), length(max = 4096))]
    pub store: Option<String>,
    /// The folder with the artifacts that travel with the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub artifacts: Option<String>,
    /// The folder of a snapshot that is there already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub snapshot: Option<String>,
    /// Parquet files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parquet: Vec<String>,
}

/// A part of a log that another run has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidencePart {
    /// An evidence bundle that `carnet evidence export` wrote as a folder.
    #[schemars(length(min = 1, max = 4096))]
    pub bundle: String,
}

/// A program that is run on this machine: what `command.run` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The program.
    #[schemars(length(min = 1, max = 4096))]
    pub program: String,
    /// What it is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// How many seconds it may take.
    #[serde(default = "a_minute")]
    #[schemars(range(min = 1, max = 3_600))]
    pub time_limit_s: u32,
}

const fn a_minute() -> u32 {
    60
}

const fn one() -> u32 {
    1
}

/// The environment that something enters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Its name, such as prod.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// Whose law applies there, such as DE. The policy is asked with it.
    #[schemars(length(min = 1, max = 200))]
    pub jurisdiction: String,
    /// The classifications that it may hold. The policy is asked with them.
    #[schemars(length(min = 1, max = 100))]
    pub accepts: Vec<String>,
    /// Labels of where it is, such as eu-central or rack-7. The policy is asked with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placement: Vec<String>,
    /// The folder of the policies in force there. The policy that crosses is put in force in it.
    #[schemars(length(min = 1, max = 4096))]
    pub policies: String,
    /// How a container is run there: what `workload.place` takes beside what the bundle holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerHost>,
    /// How a virtual machine is run there: what `vm.place` and `vm.boot` take beside what the bundle
    /// holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineHost>,
    /// The folder into which the contents of the bundle are placed.
    #[schemars(length(min = 1, max = 4096))]
    pub place: String,
    /// The store into which a snapshot is loaded: faiss:DIR, sqlite:FILE or postgres://….
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(faiss:.|sqlite:.|postgres(ql)?://.)"), length(max = 4096))]
    pub store: Option<String>,
    /// How records enter a store that is not empty.
    #[serde(default)]
    pub mode: ImportMode,
    /// The public keys (`.vkey`) of logs whose evidence is believed here. Without one the evidence
    /// in the bundle is checked for everything but who signed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// The file with the authorities that are known here, in the form of SSH allowed signers; the
    /// plan's `trust` if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub authorities: Option<String>,
    /// The file in which the environment says what it can take, as `carnet claims --json` prints it.
    /// The bundle is compared with it before it leaves and before it enters; without it nothing is
    /// compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub claims: Option<String>,
}

/// Where a container is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContainerHost {
    /// The folder that is made for the definition and the config of the workload.
    #[schemars(length(min = 1, max = 4096))]
    pub into: String,
    /// The runtime: `program`, `storage`, `settings`; podman if nothing is said.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub runtime: Map<String, Value>,
    /// How many seconds it may take to become healthy.
    #[serde(default = "a_minute")]
    #[schemars(range(min = 1, max = 3_600))]
    pub healthy_within_s: u32,
}

/// Where a virtual machine is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MachineHost {
    /// The folder that is made for the machine.
    #[schemars(length(min = 1, max = 4096))]
    pub into: String,
    /// The programs: `emulator`, `tpm`, `images`, `firmware_code`; those of QEMU if nothing is said.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub programs: Map<String, Value>,
    /// What it must write to its serial console when it came up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub console: Vec<String>,
    /// A port of the loopback that must answer when it came up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub answers_on: Option<u16>,
    /// Ports of the loopback that lead to it: `outside` and `inside`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forward: Vec<Map<String, Value>>,
    /// How many seconds it may take to show that it came up.
    #[serde(default = "three_minutes")]
    #[schemars(range(min = 1, max = 3_600))]
    pub within_s: u32,
}

const fn three_minutes() -> u32 {
    180
}

/// Where the bundle is made, and where it arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Carriage {
    /// The folder on the source side in which the bundle is made.
    #[schemars(length(min = 1, max = 4096))]
    pub outbox: String,
    /// The folder on the target side in which it arrives.
    #[schemars(length(min = 1, max = 4096))]
    pub inbox: String,
}

/// Rego policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFolder {
    /// The folder with the modules, data and self-tests (docs/policy.md).
    #[schemars(length(min = 1, max = 4096))]
    pub folder: String,
}

/// The parts and the provenance of what crosses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SupplyChain {
    /// The list of the parts: `CycloneDX` or SPDX, as JSON.
    #[schemars(length(min = 1, max = 4096))]
    pub sbom: String,
    /// The statement of where it comes from: in-toto, as JSON or DSSE.
    #[schemars(length(min = 1, max = 4096))]
    pub provenance: String,
    /// The trust file with the keys of builders. Without it a statement that nobody signed is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub builders: Option<String>,
}

/// For whom contents are encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Encrypt {
    /// `age1…`, or public keys of SSH.
    #[schemars(length(min = 1, max = 100))]
    pub recipients: Vec<String>,
    /// The file on the target side with the key that opens them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub identity: Option<String>,
}

/// A gate that shows that what was placed is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// The kind of gate, such as http or command.
    pub gate: String,
    /// Its name, unique in the list; its kind if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,62}$"))]
    pub name: Option<String>,
    /// What is looked at, and what is demanded.
    #[serde(default)]
    pub with: Map<String, Value>,
}

/// What points clients to the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwitchOver {
    /// A variable in an environment file.
    pub switch: Variable,
}

/// A variable in an environment file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// The file.
    #[schemars(length(min = 1, max = 4096))]
    pub env_file: String,
    /// The variable.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]{0,254}$"))]
    pub key: String,
    /// What it is set to.
    #[schemars(regex(pattern = r"^[^\x00-\x1f\x7f]+$"), length(max = 4096))]
    pub value: String,
}
