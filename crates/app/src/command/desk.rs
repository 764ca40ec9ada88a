//! Where people decide about a run: the plan, its state, and the engine on it.

use std::path::Path;

use carnet_engine::{Engine, PeopleRequest};
use carnet_model::Code;

use super::Setting;
use crate::failure::Failure;
use crate::plan_file::PlanFile;
use crate::signer::signer;

pub(super) struct Desk<'a> {
    pub(super) file: PlanFile,
    pub(super) engine: Engine,
    pub(super) user: &'a str,
}

impl<'a> Desk<'a> {
    pub(super) fn open(setting: &Setting<'a>, plan: &Path) -> Result<Self, Failure> {
        let file = PlanFile::open_of_run(setting, plan)?;
        let engine = setting.engine(setting.state_of(&file.plan))?;
        Ok(Self { file, engine, user: setting.environment.user.as_deref().unwrap_or("unknown") })
    }

    /// What the engine needs for a decision. Who approves need not have the key of the log: without
    /// it the next run signs what was decided.
    pub(super) fn request(&self) -> Result<PeopleRequest<'_>, Failure> {
        let signer = match signer(None, Some(&self.file)) {
            Ok(signer) => signer,
            Err(failure) if failure.code == Code::KEY_NOT_FOUND => None,
            Err(failure) => return Err(failure),
        };
        Ok(PeopleRequest { plan: &self.file.plan, folder: self.file.folder(), signer })
    }
}

/// A name or a reason for the evidence: one that says nothing is none.
pub(super) fn said(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("say something: it is kept in the evidence".to_owned());
    }
    Ok(text.to_owned())
}
