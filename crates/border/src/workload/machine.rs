//! What a virtual machine consists of (`machine/machine.json` of a bundle), and what must be there.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the file that is written and read.
pub const MACHINE_VERSION: &str = "carnet-machine-1";
/// The longest such file in bytes.
pub const MACHINE_BYTES_MAX: usize = 64 << 10;

/// A virtual machine, as it is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineFile {
    /// [`MACHINE_VERSION`].
    pub version: String,
    /// Its name.
    pub name: String,
    /// The architecture: `x86_64`.
    pub architecture: String,
    /// How many processors it has.
    pub processors: u32,
    /// How much memory it has, in MiB.
    pub memory_mib: u32,
    /// What starts it.
    pub firmware: Firmware,
    /// Whether it has a TPM, whose state must then travel with it.
    pub tpm: bool,
    /// The format of the file with its disk.
    pub disk_format: DiskFormat,
    /// How many bytes the machine sees of it.
    pub disk_virtual_size: u64,
}

/// What starts a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Firmware {
    /// UEFI, whose variables must travel.
    Uefi,
    /// A PC BIOS, which keeps none.
    Bios,
}

/// How a disk lies in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum DiskFormat {
    /// As QEMU's qcow2, without a file behind it.
    Qcow2,
    /// Byte for byte.
    Raw,
}

impl DiskFormat {
    /// The word of QEMU.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }

    /// The path of such a disk in a bundle.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Qcow2 => "machine/disk.qcow2",
            Self::Raw => "machine/disk.raw",
        }
    }
}

impl fmt::Display for DiskFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A part of a machine beside its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachinePart {
    /// The variables of its firmware.
    FirmwareVariables,
    /// The state of its TPM.
    TpmState,
}

impl MachinePart {
    /// Its path in a bundle: a file, or the folder of files.
    pub const fn path(self) -> &'static str {
        match self {
            Self::FirmwareVariables => "machine/firmware-vars.fd",
            Self::TpmState => "machine/tpm",
        }
    }
}

/// Why a machine is refused before anything of it is placed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MachineError {
    /// The file is not in the form of [`MACHINE_VERSION`].
    #[error("machine.json is not in the form of {MACHINE_VERSION}: {0}")]
    Form(String),
    /// Another version.
    #[error("machine.json is of version {0}; this build reads {MACHINE_VERSION}")]
    Version(String),
    /// It has a TPM, and the state of that is not there. Never only a warning: what is sealed to the
    /// TPM would be lost without a word.
    #[error("the machine {0} has a TPM, and the state of its TPM is not there")]
    TpmMissing(String),
    /// It starts by UEFI, and the variables of that are not there.
    #[error("the machine {0} starts by UEFI, and the variables of its firmware are not there")]
    VariablesMissing(String),
    /// A part is there that the machine does not have.
    #[error("the machine {name} has no {part}, and {} is there", .path)]
    Surplus {
        /// The machine.
        name: String,
        /// The part.
        part: &'static str,
        /// Where it lies.
        path: &'static str,
    },
}

impl MachineFile {
    /// Reads the file.
    pub fn read(bytes: &[u8]) -> Result<Self, MachineError> {
        #[derive(Deserialize)]
        struct Seen {
            version: String,
        }
        let form = |error: serde_json::Error| MachineError::Form(error.to_string());
        if bytes.len() > MACHINE_BYTES_MAX {
            return Err(MachineError::Form(format!("it has {} bytes", bytes.len())));
        }
        let seen: Seen = serde_json::from_slice(bytes).map_err(form)?;
        if seen.version != MACHINE_VERSION {
            return Err(MachineError::Version(seen.version));
        }
        let machine: Self = serde_json::from_slice(bytes).map_err(form)?;
        machine.check()?;
        Ok(machine)
    }

    /// What of it is refused whatever its parts hold.
    pub fn check(&self) -> Result<(), MachineError> {
        let form = |what: &str| Err(MachineError::Form(what.to_owned()));
        let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(word) {
            return form("the name is not made of letters, digits and -_.");
        }
        if self.architecture != "x86_64" {
            return form("the architecture is not x86_64");
        }
        if !(1..=64).contains(&self.processors) || !(16..=1 << 20).contains(&self.memory_mib) {
            return form("the processors or the memory are out of range");
        }
        if self.disk_virtual_size == 0 || !self.disk_virtual_size.is_multiple_of(512) {
            return form("the size of the disk is no multiple of 512");
        }
        Ok(())
    }
}

/// Whether the parts that are there are those that the machine has. Asked at export and at import,
/// and before each start.
pub fn check_parts(
    machine: &MachineFile,
    variables_there: bool,
    tpm_there: bool,
) -> Result<(), MachineError> {
    let name = || machine.name.clone();
    match (machine.tpm, tpm_there) {
        (true, false) => return Err(MachineError::TpmMissing(name())),
        (false, true) => {
            let path = MachinePart::TpmState.path();
            return Err(MachineError::Surplus { name: name(), part: "TPM", path });
        }
        (true, true) | (false, false) => {}
    }
    match (machine.firmware, variables_there) {
        (Firmware::Uefi, false) => Err(MachineError::VariablesMissing(name())),
        (Firmware::Bios, true) => {
            let path = MachinePart::FirmwareVariables.path();
            Err(MachineError::Surplus { name: name(), part: "UEFI", path })
        }
        (Firmware::Uefi, true) | (Firmware::Bios, false) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> MachineFile {
        MachineFile {
            version: MACHINE_VERSION.to_owned(),
            name: "web-1".to_owned(),
            architecture: "x86_64".to_owned(),
            processors: 1,
            memory_mib: 256,
            firmware: Firmware::Uefi,
            tpm: true,
            disk_format: DiskFormat::Qcow2,
            disk_virtual_size: 64 << 20,
        }
    }

    #[test]
    fn a_machine_is_read_as_it_was_written_and_no_other() {
        let text = serde_json::to_string(&machine()).unwrap();
        assert_eq!(MachineFile::read(text.as_bytes()), Ok(machine()));
        for (old, new) in [
            ("\"tpm\":true", "\"tpm\":true,\"gpu\":1"),
            (",\"tpm\":true", ""),
            ("x86_64", "riscv64"),
            ("web-1", "../web"),
            ("\"processors\":1", "\"processors\":0"),
            ("67108864", "67108865"),
            ("qcow2", "vmdk"),
        ] {
            let damaged = text.replacen(old, new, 1);
            assert_ne!(damaged, text);
            let error = MachineFile::read(damaged.as_bytes()).unwrap_err();
            assert!(matches!(error, MachineError::Form(_)), "{new}: {error}");
        }
        let newer = text.replace(MACHINE_VERSION, "carnet-machine-2");
        let newer = MachineFile::read(newer.as_bytes());
        assert_eq!(newer, Err(MachineError::Version("carnet-machine-2".to_owned())));
    }

    #[test]
    fn a_machine_has_the_parts_that_it_says_and_no_others() {
        use MachineError::{Surplus, TpmMissing, VariablesMissing};
        let has = |firmware, tpm| MachineFile { firmware, tpm, ..machine() };
        let uefi = has(Firmware::Uefi, true);
        assert_eq!(check_parts(&uefi, true, true), Ok(()));
        assert!(matches!(check_parts(&uefi, true, false), Err(TpmMissing(_))));
        assert!(matches!(check_parts(&uefi, false, true), Err(VariablesMissing(_))));
        let bios = has(Firmware::Bios, false);
        assert_eq!(check_parts(&bios, false, false), Ok(()));
        assert!(matches!(check_parts(&bios, true, false), Err(Surplus { .. })));
        assert!(matches!(check_parts(&bios, false, true), Err(Surplus { .. })));
    }
}
