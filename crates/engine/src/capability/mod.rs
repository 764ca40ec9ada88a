//! What steps do: each capability of the registry (`carnet_model::capability`) with its hands. All of
//! them look first, act under a recorded intent, can be asked after a crash whether it happened, and
//! know how to take it back, or say that they do not.
//!
//! Each has fault points of its own in the middle of its work: `command/started`, `http/answered`,
//! `sql/changing`, `sql/changed`, `file/staged`, `file/placed`, `s3/copying`, `s3/object`,
//! `service/restarted`, `snapshot/exported`, `import/range`; and of its undo: `file/returned`,
//! `s3/removed`, `snapshot/removing`, `import/abandoned`. Of policies: `policy/written`,
//! `policy/placed`. Of workloads: `workload/files`, `workload/loaded`, `workload/made`,
//! `workload/started`, `vm/claimed`, `vm/placed`, `vm/started`. Of bundles: `bundle/laid`,
//! `bundle/evidence`, `bundle/sealed`, `bundle/transfer`, `bundle/transferred`, `bundle/placing`,
//! `bundle/placed`. Of Terraform: `terraform/started`, `terraform/applied`, `terraform/destroyed`. Of
//! ways back: `take_back/begun`. Of parameters: `parameter/put`, `parameter/returned`. Of ECS: `ecs/set`,
//! `ecs/given_back`, `ecs/returned`, `ecs/started`.

mod bundle;
mod command;
mod ecs_service;
mod ecs_task;
mod env_file;
mod erasure;
mod file;
mod http;
mod knowledge;
pub(crate) mod legacy;
mod objects;
mod parameter;
mod placed;
mod policy;
pub(crate) mod program;
mod receipt;
pub(crate) mod secrets;
mod service;
mod snapshot;
mod sql;
mod take_back;
pub(crate) mod terraform;
mod vm;
mod workload;

use carnet_ledger::Object;
use carnet_model::Code;
use carnet_model::capability::step_of;
use carnet_process::{RunState, StepStatus};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use receipt::{CapabilityReceipt, ReceiptMode};
pub(crate) use receipt::{Used, receipt};

use crate::error::StepError;
use crate::step::{Context, Done};

/// What a capability does.
pub(crate) trait Capability: Send + Sync {
    /// Looks, and changes nothing. What it gives is recorded with the intent: `act`, `probe` and
    /// `undo` read it. Secrets are never part of it.
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError>;

    /// Does it. What an attempt that was cut off has left is used or replaced, as far as the
    /// capability may be repeated. `run.unknown`: nobody can tell whether it happened.
    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError>;

    /// Asks the world whether it happened. Changes nothing.
    fn probe(&self, act: &Act<'_>, inputs: &Object) -> Result<Probed, StepError>;

    /// Takes it back, whole or half done; twice is as good as once. Gives what cannot be taken away,
    /// in words. A capability whose undo the plan must name gives nothing and does nothing.
    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError>;
}

/// One use of a capability.
#[derive(Clone, Copy)]
pub(crate) struct Act<'a> {
    pub(crate) cx: &'a Context<'a>,
    /// The node of the process, such as `move/copy_objects`.
    pub(crate) node: &'a str,
    /// The inputs as the plan has them, checked.
    pub(crate) with: &'a Value,
    /// The same for every repetition of this effect.
    pub(crate) key: &'a str,
    /// Which writer of the log this is; `None` where nothing is written.
    pub(crate) generation: Option<u64>,
    /// The key of the step that this one takes back, where it is the undo that a plan names. What a
    /// resource has recorded under that key is then forgotten in the same transaction, and nothing
    /// is done where nothing is recorded.
    pub(crate) takes_back: Option<&'a str>,
}

impl Act<'_> {
    /// The inputs as their type. Whatever a capability does begins here, so that none of them gets
    /// to a program that is called legacy.
    fn inputs<T: DeserializeOwned>(&self) -> Result<T, StepError> {
        legacy::refuse(self.cx.plan, self.cx.folder, self.with)?;
        carnet_model::capability::read(self.with).map_err(|error| {
            let what = format!("the inputs of {} are not as they were checked: {error}", self.node);
            StepError::new(Code::BUG, what)
        })
    }

    /// Whether the run goes back: what nobody takes for done then is not undone.
    fn goes_back(&self) -> bool {
        self.cx.recorder.look(RunState::goes_back).unwrap_or_default()
    }

    /// What an attempt that failed had seen before it began; `None` if none did.
    fn first_look(&self) -> Option<Object> {
        let failed = |run: &RunState| {
            let step = run.step(self.node)?;
            (step.status == StepStatus::NotApplied).then(|| step.inputs.clone())
        };
        self.cx.recorder.look(failed).flatten()
    }

    /// Passes a fault point.
    fn pass(&self, point: &str) -> Result<(), StepError> {
        self.cx.faults.pass(point)
    }
}

/// What a look at the world says about an effect without an outcome.
#[derive(Debug)]
pub(crate) enum Probed {
    /// It happened, and this came out.
    Applied(Done),
    /// It did not: it may be done now.
    NotApplied,
    /// It has begun: whoever acts again, under the same intent, goes on with it or says how it failed.
    Begun,
    /// Nobody can tell: a person must look. Why, in words.
    Unknown(String),
}

/// The capability of this name.
pub(crate) fn find(name: &str) -> Option<&'static dyn Capability> {
    Some(match name {
        "command.run" => &command::Run,
        "http.request" => &http::Request,
        "sql.change" => &sql::Change,
        "file.copy" => &file::Copy,
        "s3.copy" => &objects::Copy,
        "service.restart" => &service::Restart,
        "workload.place" => &workload::Place,
        "workload.start" => &workload::Start,
        "workload.stop" => &workload::Stop,
        "workload.remove" => &workload::Remove,
        "vm.place" => &vm::Place,
        "vm.boot" => &vm::Boot,
        "vm.stop" => &vm::Stop,
        "vm.remove" => &vm::Remove,
        "policy.snapshot" => &policy::Snapshot,
        "policy.enforce" => &policy::Enforce,
        "snapshot.export" => &snapshot::Export,
        "snapshot.verify" => &snapshot::Verify,
        "snapshot.import" => &snapshot::Import,
        "erasure.survey" => &erasure::Survey,
        "erasure.record" => &erasure::Record,
        "bundle.export" => &bundle::Export,
        "bundle.transfer" => &bundle::Transfer,
        "bundle.verify" => &bundle::Verify,
        "bundle.import" => &bundle::Import,
        "env.set" => &env_file::Set,
        "parameter.put" => &parameter::Put,
        "ecs.service" => &ecs_service::Set,
        "ecs.task" => &ecs_task::Run,
        "run.take_back" => &take_back::TakeBack,
        "terraform.apply" => &terraform::Apply,
        "terraform.destroy" => &terraform::Destroy,
        other => knowledge::of(step_of(other)?),
    })
}

/// The outcome that nobody can tell.
fn unknown(what: impl Into<String>, remedy: &str) -> StepError {
    StepError::new(Code::RUN_UNKNOWN, what).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_of_the_registry_has_hands() {
        for one in carnet_model::capability::all() {
            assert!(find(one.name).is_some(), "{}", one.name);
        }
        assert!(find("no.such").is_none() && find("knowledge.no_such").is_none());
    }
}
