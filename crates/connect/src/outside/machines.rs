//! Virtual machines, each in a folder of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use carnet_model::workload::{DiskFormat, MachineFile};

use crate::error::StoreError;

/// The programs that run machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachinePlace {
    /// The emulator: a path, or a name that is looked for in the system's own folders.
    pub emulator: String,
    /// The program that is the TPM.
    pub tpm: String,
    /// The program that changes the form of disks.
    pub images: String,
    /// The code of the UEFI firmware.
    pub firmware_code: PathBuf,
}

/// What is known of a disk from its file alone, read without the programs that run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFacts {
    /// Its format.
    pub format: DiskFormat,
    /// How many bytes a machine sees.
    pub virtual_size: u64,
    /// How many bytes the file has.
    pub bytes: u64,
    /// The files behind it, nearest first; none for a disk that stands alone.
    pub chain: Vec<PathBuf>,
}

/// How a machine is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// What it consists of.
    pub machine: MachineFile,
    /// What tells whose it is: the emulator is asked for it.
    pub key: String,
    /// TCP ports of this machine's loopback that lead to it.
    pub forward: Vec<Forward>,
}

/// A port of the loopback that leads to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// The port here.
    pub outside: u16,
    /// The port of the machine.
    pub inside: u16,
}

/// How a machine stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MachineState {
    /// Nothing of it runs.
    Off,
    /// It runs.
    On {
        /// Whose it is, as the emulator says.
        key: String,
        /// The word of the emulator, such as `running` or `paused`.
        word: String,
        /// The model of its TPM, if it has one.
        tpm: Option<String>,
    },
}

/// What runs machines. A machine lies in a folder: its parts below `machine/`, with the paths that they
/// have in a bundle, and `run/` with what its programs leave there. Each call has a time limit of its
/// own, after which it fails with `vm.failed`.
pub trait Machines: Send + Sync {
    /// What it is and which version, in its own words.
    fn version(&self) -> Result<String, StoreError>;

    /// Looks at a disk and the files behind it. `vm.unsupported` for one that is encrypted, damaged,
    /// not closed in order, or whose chain is too deep or leads in a circle.
    fn disk(&self, file: &Path) -> Result<DiskFacts, StoreError>;

    /// Whether an emulator has a disk open: what it holds may change at any moment.
    fn in_use(&self, file: &Path, format: DiskFormat) -> Result<bool, StoreError>;

    /// Writes a disk with all that is behind it into one new file.
    fn flatten(&self, from: &Path, to: &Path, format: DiskFormat) -> Result<(), StoreError>;

    /// Starts a machine; comes back when the emulator runs. One that runs already is refused with
    /// `vm.running`.
    fn boot(&self, folder: &Path, boot: &Boot) -> Result<(), StoreError>;

    /// How it stands.
    fn state(&self, folder: &Path) -> Result<MachineState, StoreError>;

    /// The last that it wrote to its serial console since its start, at most so many bytes.
    fn console(&self, folder: &Path, bytes_max: usize) -> Result<Vec<u8>, StoreError>;

    /// Asks it to turn itself off, and turns it off by force when the time is over. One that is off
    /// is only cleared of what its programs left. Gives whether it went by itself.
    fn power_off(&self, folder: &Path, within: Duration) -> Result<bool, StoreError>;
}
