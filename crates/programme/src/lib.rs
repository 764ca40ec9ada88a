//! The evidence of a programme: what each file must look like, reading it strictly, and whether
//! several of them agree. No file is opened here, and no clock is read.
//!
//! - [`Form`]: each evidence file that has a form, its JSON Schema, and where it lies.
//! - [`read`]: the bytes of a file as a [`Document`], or the [`Fault`] by its name.
//! - [`Run`]: the ids of a run; what belongs to it, and when it was written.
//! - [`Template`]: paths with tokens.
//! - [`Lines`]: files of many lines, read as they come and never held.
//! - [`own_sums`]: what a file must say to agree with itself.
//! - [`agree`]: what several files must say to agree with each other.
//! - [`certify`]: whether runs and drills certify a programme.
//! - [`spoiled`]: copies that must be refused, with which judges are tried.

#![forbid(unsafe_code)]

mod agree;
mod fault;
mod form;
mod json;
mod lines;
mod mistaken;
mod moment;
mod own;
mod read;
mod run;
mod spoil;
mod tally;
mod template;
mod whole;
mod wrong;

#[cfg(test)]
mod example;

pub use agree::{
    Agreed, Bounds, CertifiedRun, Check, Drill, DrilledRun, Evidence, agree, certify, has_image,
    refer,
};
pub use fault::Fault;
pub use form::{FILE_BYTES_MAX, Form, LINE_BYTES_MAX};
pub use lines::{LineFault, Lines};
pub use own::{CAUGHT_UP_LAG_MAX, own_sums};
pub use read::{Document, read};
pub use run::{CLOCK_SKEW_S, Run, When};
pub use spoil::{spoiled, spoiled_certified, spoiled_lines};
pub use tally::{Range, Tally, Task};
pub use template::{Template, TemplateError};
pub use whole::with_fractions;
pub use wrong::{Wrong, WrongKind};
