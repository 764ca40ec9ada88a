//! `service.restart`.

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};

pub(super) const NAME: &str = "service.restart";

/// A service of this machine that is restarted. Whether it is well afterwards is for a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceRestart {
    /// Who keeps it running.
    pub manager: Manager,
    /// Its name there: a unit of systemd, or a process of supervisord.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_.@:][A-Za-z0-9_.@:-]{0,254}$"))]
    pub service: String,
    /// The settings of supervisord, from the folder of the plan; where it looks itself if nothing
    /// is said.
    #[schemars(length(min = 1, max = 4096))]
    pub settings: Option<String>,
    /// How many seconds the restart may take.
    #[serde(default = "a_minute")]
    #[schemars(range(min = 1, max = 3_600))]
    pub time_limit_s: u32,
}

/// Who keeps a service running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Manager {
    /// `systemctl`.
    Systemd,
    /// `supervisorctl`.
    Supervisord,
}

const fn a_minute() -> u32 {
    60
}

pub(super) const DESCRIPTOR: Descriptor = Descriptor {
    name: NAME,
    does: "restart a service of systemd or supervisord",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::Own,
    undo_reach: UndoReach::Nowhere,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<ServiceRestart>,
    check: |with| checked::<ServiceRestart>(with, check),
};

fn check(restart: &ServiceRestart, errors: &mut Vec<InputError>) {
    if restart.manager == Manager::Systemd && restart.settings.is_some() {
        errors.push(InputError::new("/settings", "is for supervisord alone", "take it out"));
    }
}
