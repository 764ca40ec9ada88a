//! Capabilities: the named operations that steps use. What each may do to the world is declared
//! here and read by the plan reader, by `carnet cap` and by the engine, which does them.

mod bundle;
mod command;
mod ecs_service;
mod ecs_task;
mod env_file;
mod erasure;
mod file;
mod http;
mod knowledge;
mod object;
mod parameter;
mod password;
mod policy;
mod registry;
mod service;
mod snapshot;
mod sql;
mod take_back;
mod terraform;
mod vm;
mod workload;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use carnet_document::{InputError, NoNull, compiled, input_errors};
use jsonschema::Validator;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::Transform;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use bundle::{
    BundleExport, BundleImport, BundleTransfer, BundleVerify, GovernanceFile, Governed, Packed,
};
pub use command::{Command, CommandRepeat, OUTPUT_BYTES_MAX, Probe};
pub use ecs_service::{EcsService, EcsWait};
pub use ecs_task::{EcsNetwork, EcsOverride, EcsTask};
pub use env_file::EnvSet;
pub use erasure::{ErasureItem, ErasureRecord, ErasureSurvey};
pub use file::FileCopy;
pub use http::{HttpBody, HttpCall, HttpMethod};
pub use knowledge::{Knowledge, step_of};
pub use object::S3Copy;
pub use parameter::{ParameterKind, ParameterPut};
pub use policy::{PolicyEnforce, PolicySnapshot};
pub use registry::all;
pub use service::{Manager, ServiceRestart};
pub use snapshot::{SnapshotExport, SnapshotImport, SnapshotVerify};
pub use sql::{SqlChange, SqlText};
pub use take_back::{TakeBack, taken_back};
pub use terraform::{TerraformApply, TerraformDestroy, TerraformPlace};
pub use vm::{ForwardedPort, MachinePrograms, VmBoot, VmPlace, VmRemove, VmStop};
pub use workload::{RuntimePlace, WorkloadPlace, WorkloadRemove, WorkloadStart, WorkloadStop};

/// What a capability is and promises.
#[derive(Debug)]
pub struct Descriptor {
    /// Its name, such as `file.copy`.
    pub name: &'static str,
    /// What it does, in one line.
    pub does: &'static str,
    /// Whether it changes anything outside of the run's own state.
    pub safety: Safety,
    /// What is done after a crash, if its inputs say nothing else (see [`repeat`]).
    pub repeat: Repeat,
    /// How it is taken back.
    pub undo: UndoKind,
    /// How far that goes.
    pub undo_reach: UndoReach,
    /// What keeps a writer out that lost the run to another one.
    pub fencing: Fencing,
    /// Whether a person has to agree each time.
    pub approval: ApprovalMode,
    /// The kinds of gate that a phase with it must have.
    pub gates: &'static [&'static str],
    /// The JSON Schema of its inputs.
    pub inputs: fn() -> Value,
    /// What no schema can say about its inputs.
    check: fn(&Value) -> Vec<InputError>,
}

/// Whether something is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Safety {
    /// It only looks.
    ReadOnly,
    /// It changes something.
    Mutating,
}

/// What is done after a crash about work that has an intent and no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// It is done again: twice is as good as once.
    Again,
    /// The world is asked whether it happened.
    Probe,
    /// Nobody can tell but a person.
    Manual,
}

/// How something is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UndoKind {
    /// There is nothing to take back.
    Nothing,
    /// It knows how itself.
    Own,
    /// The plan must say how, or refuse with a reason and an approval.
    ByPlan,
}

/// How far what takes it back goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndoReach {
    /// Its own undo leaves everything as it is; one that a plan names goes as far as the point of
    /// no return.
    Nowhere,
    /// As far as the point of no return.
    BeforeCommit,
    /// It is taken back behind the point of no return as well.
    Always,
}

/// What keeps a writer out that lost the run to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fencing {
    /// The resource compares the generation in the same transaction.
    Transactional,
    /// The resource changes only if it is still as it was seen.
    Conditional,
    /// Nothing but the look at the lease just before.
    None,
}

/// Whether a person has to agree each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalMode {
    /// No.
    None,
    /// Yes: a phase with it needs an approval.
    Asked,
}

/// The capability of this name.
pub fn descriptor(name: &str) -> Option<&'static Descriptor> {
    all().iter().find(|one| one.name == name)
}

/// What is wrong with the inputs of a capability, as a plan gives them; `Ok` if nothing is.
pub fn check_inputs(descriptor: &Descriptor, with: &Value) -> Result<(), Vec<InputError>> {
    static READY: LazyLock<BTreeMap<&str, Validator>> = LazyLock::new(|| {
        let ready = |one: &'static Descriptor| Some((one.name, compiled(&(one.inputs)()).ok()?));
        all().iter().filter_map(ready).collect()
    });
    let fits = READY.get(descriptor.name).is_some_and(|schema| schema.is_valid(with));
    let errors =
        if fits { (descriptor.check)(with) } else { input_errors(&(descriptor.inputs)(), with) };
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// What is done after a crash with these inputs, which `check_inputs` has passed.
pub fn repeat(descriptor: &Descriptor, with: &Value) -> Repeat {
    match descriptor.name {
        command::NAME => read::<Command>(with).map_or(Repeat::Manual, |it| it.repeat.kind()),
        http::NAME => match read::<HttpCall>(with) {
            Ok(call) if call.idempotency_header.is_some() => Repeat::Again,
            Ok(_) | Err(_) => descriptor.repeat,
        },
        _ => descriptor.repeat,
    }
}

/// Inputs as their type. Those that `check_inputs` has passed always are.
pub fn read<T: DeserializeOwned>(with: &Value) -> Result<T, InputError> {
    T::deserialize(with)
        .map_err(|error| InputError::new("", error.to_string(), "see `carnet cap show NAME`"))
}

/// The JSON Schema (draft 2020-12) of a type, without `null` for keys that may be left out.
fn schema_of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    NoNull.transform(&mut schema);
    schema.to_value()
}

/// The check that is left after the schema, over the typed inputs.
fn checked<T: DeserializeOwned>(
    with: &Value,
    check: fn(&T, &mut Vec<InputError>),
) -> Vec<InputError> {
    let mut errors = Vec::new();
    match read::<T>(with) {
        Ok(inputs) => check(&inputs, &mut errors),
        Err(error) => errors.push(error),
    }
    errors
}

#[cfg(test)]
mod tests;
