//! `portability/v1`: a workload, data or evidence that crosses a border in a bundle.
//!
//! Reading order: what a plan says (`section`), what it gets wrong (`check`), the phases that it is
//! compiled to (`phases`, and what goes into a bundle, `contents`).

mod check;
mod contents;
mod phases;
mod section;
mod side;

pub(super) use check::{approval_names, check};
pub use phases::CROSSING_PHASES;
pub(super) use phases::phases;
pub use section::{
    Carriage, Container, ContainerHost, Crossing, Data, Destination, Encrypt, EvidencePart, Health,
    Machine, MachineHost, Origin, PolicyFolder, Portability, Program, Side, SupplyChain,
    SwitchOver, Variable,
};
