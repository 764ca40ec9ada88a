//! From the tree to the part of a plan in which something crosses in a bundle.

use carnet_document::{Code, Diagnostic};

use super::knowledge::process;
use super::sections;
use crate::plan::knowledge::Process;
use crate::plan::portability::Crossing;
use crate::plan::reader::{Fields, Reader};

pub(super) fn crossing(reader: &mut Reader, fields: &Fields<'_>) -> Option<Crossing> {
    let process = fields.get("process").and_then(|at| {
        let process = process(reader, at)?;
        if process != Process::PortabilityV1 {
            let message = "`portability` is for the process portability/v1";
            let remedy = "write `process: portability/v1`, or take `portability` out";
            reader.push(Diagnostic::error(Code::PLAN_CONFLICT, at.node.span, message, remedy));
        }
        Some(process)
    });
    let portability = fields.get("portability").and_then(|at| sections::portability(reader, at));
    Some(Crossing { process: process?, portability: portability? })
}
