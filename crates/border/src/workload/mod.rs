//! Workloads as they travel: what a container runs (a compose file, or manifests of Kubernetes),
//! where its image comes from, and what a virtual machine consists of. Read in full or refused: a key
//! that is not understood is never passed over.

mod compose;
mod definition;
mod image;
mod image_contents;
mod kube;
mod machine;
mod qcow2;
mod reading;
mod secrets;

pub use definition::{
    CONFIG_FOLDER, DEFINITION_BYTES_MAX, DefinitionForm, Healthcheck, Mount, Port, Protocol,
    Service, StatefulKind, StatefulPart, Workload,
};
pub use image::{ImageReference, ImageReferenceError};
pub use image_contents::{ImageContents, ImageSecret, LayerPath, SECRETS_MAX};
pub use kube::{KubeWorkload, KubeWorkloadKind};
pub use machine::{
    DiskFormat, Firmware, MACHINE_BYTES_MAX, MACHINE_VERSION, MachineError, MachineFile,
    MachinePart, check_parts,
};
pub use qcow2::{QCOW2_HEADER_BYTES, Qcow2Error, Qcow2Header, is_qcow2};
pub use secrets::{SecretScan, SecretSign};
