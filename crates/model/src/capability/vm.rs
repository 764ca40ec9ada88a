//! `vm.place`, `vm.boot`, `vm.stop`, `vm.remove`.

use std::collections::BTreeSet;

use carnet_document::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind, UndoReach, checked};

/// The programs that run virtual machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct MachinePrograms {
    /// The emulator: a path from the folder of the plan if it holds a `/`, else a name that is
    /// looked for in the system's own folders. It must understand what QEMU does.
    #[serde(default = "qemu")]
    #[schemars(length(min = 1, max = 4096))]
    pub emulator: String,
    /// The program that is the TPM; it must understand what swtpm does.
    #[serde(default = "swtpm")]
    #[schemars(length(min = 1, max = 4096))]
    pub tpm: String,
    /// The program that changes the form of disks; it must understand what qemu-img does.
    #[serde(default = "qemu_img")]
    #[schemars(length(min = 1, max = 4096))]
    pub images: String,
    /// The code of the UEFI firmware, from the folder of the plan.
    #[serde(default = "ovmf")]
    #[schemars(length(min = 1, max = 4096))]
    pub firmware_code: String,
}

impl Default for MachinePrograms {
    fn default() -> Self {
        Self { emulator: qemu(), tpm: swtpm(), images: qemu_img(), firmware_code: ovmf() }
    }
}

/// A virtual machine that is made ready from what a bundle holds. It does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VmPlace {
    /// The folder with the files of a bundle: `machine/`.
    #[schemars(length(min = 1, max = 4096))]
    pub from: String,
    /// The folder that is made for the machine.
    #[schemars(length(min = 1, max = 4096))]
    pub into: String,
    /// The programs.
    #[serde(default)]
    pub programs: MachinePrograms,
}

/// A virtual machine that is started, and must show that it came up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VmBoot {
    /// The folder of the machine.
    #[schemars(length(min = 1, max = 4096))]
    pub machine: String,
    /// The programs.
    #[serde(default)]
    pub programs: MachinePrograms,
    /// What the machine must write to its serial console: each of these texts, in any order. What
    /// it reads from its TPM is the proof that it has found it.
    #[serde(default)]
    #[schemars(length(max = 100), inner(length(min = 1, max = 1000)))]
    pub console: Vec<String>,
    /// A port of the loopback that must answer, one of `forward`.
    #[schemars(range(min = 1))]
    pub answers_on: Option<u16>,
    /// Ports of the loopback that lead to the machine.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub forward: Vec<ForwardedPort>,
    /// How many seconds it may take to show all that.
    #[serde(default = "three_minutes")]
    #[schemars(range(min = 1, max = 3_600))]
    pub within_s: u32,
}

/// A port of the loopback that leads to a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct ForwardedPort {
    /// The port of the loopback.
    #[schemars(range(min = 1))]
    pub outside: u16,
    /// The port of the machine.
    #[schemars(range(min = 1))]
    pub inside: u16,
}

/// A virtual machine that is turned off and stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VmStop {
    /// The folder of the machine.
    #[schemars(length(min = 1, max = 4096))]
    pub machine: String,
    /// The programs.
    #[serde(default)]
    pub programs: MachinePrograms,
    /// After how many seconds it is turned off by force.
    #[serde(default = "half_a_minute")]
    #[schemars(range(min = 0, max = 3_600))]
    pub within_s: u32,
}

/// A virtual machine that is off and is removed with its disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VmRemove {
    /// The folder of the machine.
    #[schemars(length(min = 1, max = 4096))]
    pub machine: String,
    /// The programs.
    #[serde(default)]
    pub programs: MachinePrograms,
}

fn qemu() -> String {
    "qemu-system-x86_64".to_owned()
}

fn swtpm() -> String {
    "swtpm".to_owned()
}

fn qemu_img() -> String {
    "qemu-img".to_owned()
}

fn ovmf() -> String {
    "/usr/share/OVMF/OVMF_CODE_4M.fd".to_owned()
}

const fn three_minutes() -> u32 {
    180
}

const fn half_a_minute() -> u32 {
    30
}

pub(super) const PLACE: Descriptor = Descriptor {
    name: "vm.place",
    does: "make a virtual machine ready from what a bundle holds",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<VmPlace>,
    check: |with| checked::<VmPlace>(with, |_, _| {}),
};

pub(super) const BOOT: Descriptor = Descriptor {
    name: "vm.boot",
    does: "start a virtual machine, and wait until it shows that it came up",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<VmBoot>,
    check: |with| checked::<VmBoot>(with, check),
};

pub(super) const STOP: Descriptor = Descriptor {
    name: "vm.stop",
    does: "turn a virtual machine off and leave it where it is",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::Own,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<VmStop>,
    check: |with| checked::<VmStop>(with, |_, _| {}),
};

pub(super) const REMOVE: Descriptor = Descriptor {
    name: "vm.remove",
    does: "remove a virtual machine that is off, with its disk",
    safety: Safety::Mutating,
    repeat: Repeat::Probe,
    undo: UndoKind::ByPlan,
    undo_reach: UndoReach::BeforeCommit,
    fencing: Fencing::None,
    approval: ApprovalMode::None,
    gates: &[],
    inputs: super::schema_of::<VmRemove>,
    check: |with| checked::<VmRemove>(with, |_, _| {}),
};

fn check(boot: &VmBoot, errors: &mut Vec<InputError>) {
    if boot.console.is_empty() && boot.answers_on.is_none() {
        let what = "says not how the machine shows that it came up";
        errors.push(InputError::new("", what, "add `console` or `answers_on`"));
    }
    let mut outside = BTreeSet::new();
    for (number, port) in boot.forward.iter().enumerate() {
        if !outside.insert(port.outside) {
            let at = format!("/forward/{number}/outside");
            errors.push(InputError::new(at, "stands twice", "name another port"));
        }
    }
    if boot.answers_on.is_some_and(|port| !outside.contains(&port)) {
        let what = "is no port that leads to the machine";
        errors.push(InputError::new("/answers_on", what, "add it to `forward`"));
    }
}
