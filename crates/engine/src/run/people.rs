//! What people decide about a run: they approve, send word, and settle incidents. Each is one command
//! to the core, recorded with the decision that it may be given.

use std::path::Path;
use std::sync::Arc;

use carnet_ledger::{Digest, SigningKey};
use carnet_model::plan::Plan;

use super::recorder::{Note, Recorder, fold};
use super::{Engine, RunRequest, notes, profile, programme};
use crate::approval::{
    Authority, Consent, GateRow, Initiator, SKIP, examine, question, refused, rule_of,
    table_digest, trust_of,
};
use crate::error::EngineError;
use carnet_journal::LogReader;
use carnet_process::{AMENDMENT, Approval, ByHand, Command, Refused, RunState, State};

/// A run that a person decides about.
pub struct PeopleRequest<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The folder of the plan: the path of its trust file starts there.
    pub folder: &'a Path,
    /// Signs checkpoints of the evidence; `None` leaves that to the next `run`.
    pub signer: Option<Arc<SigningKey>>,
}

/// What is asked of an approver.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What is to be approved.
    pub subject: String,
    /// The run.
    pub run: String,
    /// The plan.
    pub plan: Digest,
    /// Who may, how, and by which keys.
    pub authority: Authority,
    /// The gates as they were judged.
    pub gates: Vec<GateRow>,
    /// The digest of these gates, which a statement names.
    pub gate_table: Digest,
    /// The approvals of this subject that stand.
    pub given: Vec<Approval>,
}

impl Engine {
    /// What is asked about a subject now. Only looks: the chain is computed again, nothing is changed,
    /// and a run that works is not disturbed.
    pub fn asked(&self, request: &PeopleRequest<'_>, subject: &str) -> Result<Asked, EngineError> {
        let (log, run) = self.read()?;
        let plan = request.plan;
        same_plan(&run, plan, subject)?;
        let get = |digest| log.object(digest).ok();
        let authority = Authority::of(&run, (plan, request.folder), subject, &get)?;
        let question = question(&run, plan, subject, &get);
        let question = question.map_err(|reason| refused(subject, reason))?;
        let given = run.approvals.iter().filter(|it| it.subject == subject).cloned().collect();
        let gate_table = table_digest(&question.gates);
        let (subject, gates) = (question.subject, question.gates);
        Ok(Asked { subject, run: run.id, plan: plan.digest(), authority, gates, gate_table, given })
    }

    /// Who may approve a subject, and by which keys. Only looks.
    pub fn authority(
        &self,
        request: &PeopleRequest<'_>,
        subject: &str,
    ) -> Result<Authority, EngineError> {
        let (log, run) = self.read()?;
        let plan = (request.plan, request.folder);
        Authority::of(&run, plan, subject, &|digest| log.object(digest).ok())
    }

    /// The log, and the run that it adds up to.
    pub(super) fn read(&self) -> Result<(LogReader, RunState), EngineError> {
        let none = || EngineError::NoRun(self.log.shown());
        let log = LogReader::open(&self.log)?.ok_or_else(none)?;
        let mut state = State::default();
        log.verify(&mut |event| fold(&mut state, event, &|digest| log.object(digest).ok()))?;
        let run = state.run.ok_or_else(none)?;
        Ok((log, run))
    }

    /// Records an approval, once everything that its statement says holds and its signer may give it.
    pub fn approve(
        &self,
        request: &PeopleRequest<'_>,
        consent: &Consent,
    ) -> Result<(), EngineError> {
        let desk = self.desk(request)?;
        let command = self.approval(request, &desk, consent);
        self.give(request, &desk, "approve", command)
    }

    /// The command that an examined consent comes to.
    fn approval(
        &self,
        request: &PeopleRequest<'_>,
        desk: &Recorder,
        consent: &Consent,
    ) -> Result<Command, EngineError> {
        let Consent { statement, .. } = consent;
        let subject = statement.subject.as_str();
        let run = desk.run().ok_or(Refused::NoRun)?;
        same_plan(&run, request.plan, subject)?;
        if statement.plan != request.plan.digest() {
            return Err(refused(subject, "it names another plan".to_owned()).into());
        }
        let get = |digest| desk.object(digest).ok();
        let plan = (request.plan, request.folder);
        let authority = Authority::of(&run, plan, subject, &get)?;
        let now = self.clock.now();
        let found = question(&run, request.plan, subject, &get)
            .and_then(|question| examine(consent, &question, &run, &authority, now));
        let (key, stored) = found.map_err(|reason| refused(subject, reason))?;
        Ok(Command::Approve(Approval {
            subject: statement.subject.clone(),
            approver: statement.approver.clone(),
            key,
            plan: statement.plan,
            gate_table: statement.gate_table,
            at: statement.at,
            expires: statement.expires,
            statement: desk.put(&stored)?,
        }))
    }

    /// Takes an approval back. It only makes the run wait, so that nobody has to prove who they are.
    pub fn withdraw(
        &self,
        request: &PeopleRequest<'_>,
        subject: &str,
        approver: &str,
        reason: &str,
    ) -> Result<(), EngineError> {
        let desk = self.desk(request)?;
        let stands = |run: &RunState| {
            run.approvals.iter().any(|it| it.subject == subject && it.approver == approver)
        };
        let command = match desk.look(stands) {
            Some(true) => Ok(Command::Withdraw {
                subject: subject.to_owned(),
                approver: approver.to_owned(),
                reason: reason.to_owned(),
            }),
            Some(false) => Err(not_now(format!("no approval of {subject} by {approver} stands"))),
            None => Err(Refused::NoRun.into()),
        };
        self.give(request, &desk, "withdraw", command)
    }

    /// Word from outside, for a message of the plan.
    pub fn signal(
        &self,
        request: &PeopleRequest<'_>,
        message: &str,
        reason: &str,
    ) -> Result<(), EngineError> {
        let desk = self.desk(request)?;
        let command = if programme::is_an_act(request.plan, message) {
            Err(not_now(format!("{message} is sent by `carnet phase advance`")))
        } else {
            Ok(Command::Send { message: message.to_owned(), reason: reason.to_owned() })
        };
        self.give(request, &desk, "signal", command)
    }

    /// Has an incident tried again by the next `run` or `rollback`.
    pub fn retry(&self, request: &PeopleRequest<'_>, subject: &str) -> Result<(), EngineError> {
        let desk = self.desk(request)?;
        let may = desk.look(|run| programme::may_retry(request.plan, run, subject));
        let command = may.unwrap_or(Ok(())).map(|()| Command::Retry(subject.to_owned()));
        self.give(request, &desk, "retry", command)
    }

    /// Records what a person says became of a step. An undo is only skipped with the approval of
    /// somebody who may, where the plan has approvals.
    pub fn settle(
        &self,
        request: &PeopleRequest<'_>,
        step: &str,
        by_hand: ByHand,
        by: &str,
        reason: &str,
    ) -> Result<(), EngineError> {
        let desk = self.desk(request)?;
        let command = match self.may_settle(request, &desk, step, by_hand) {
            Ok(()) => Ok(Command::SettleByHand {
                step: step.to_owned(),
                by_hand,
                by: by.to_owned(),
                reason: reason.to_owned(),
            }),
            Err(error) => Err(error),
        };
        self.give(request, &desk, "settle_by_hand", command)
    }

    fn may_settle(
        &self,
        request: &PeopleRequest<'_>,
        desk: &Recorder,
        step: &str,
        by_hand: ByHand,
    ) -> Result<(), EngineError> {
        match by_hand {
            ByHand::NotApplied => {
                let may =
                    desk.look(|run| programme::may_settle_as_not_done(request.plan, run, step));
                return may.unwrap_or(Ok(()));
            }
            ByHand::Applied => {
                let may = desk.look(|run| programme::may_settle_as_done(request.plan, run, step));
                return may.unwrap_or(Ok(()));
            }
            ByHand::Undone => return Ok(()),
            ByHand::LeftStanding => {}
        }
        let subject = format!("{SKIP}{step}");
        let Some(rule) = rule_of(request.plan, &subject) else { return Ok(()) };
        let now = self.clock.now();
        let counts = |it: &Approval| {
            it.subject == subject
                && it.plan == request.plan.digest()
                && it.expires > now
                && rule.any_of.contains(&it.approver)
        };
        let standing = desk.look(|run| run.approvals.iter().any(counts));
        if standing == Some(true) { Ok(()) } else { Err(Refused::Unapproved { subject }.into()) }
    }

    /// The journal, open for one command. Refused while a run works.
    pub(super) fn desk(&self, request: &PeopleRequest<'_>) -> Result<Recorder, EngineError> {
        if LogReader::open(&self.log)?.is_none_or(|log| log.size() == 0) {
            return Err(EngineError::NoRun(self.log.shown()));
        }
        let (journal, state) = self.open(profile(request.plan), request.signer.clone())?;
        let envelope = super::envelope(request.plan, &self.actor, &journal)?;
        Ok(Recorder::new(journal, state, envelope))
    }

    /// Gives one command to the core. A refusal is recorded where it falls.
    pub(super) fn give(
        &self,
        request: &PeopleRequest<'_>,
        desk: &Recorder,
        asked: &'static str,
        command: Result<Command, EngineError>,
    ) -> Result<(), EngineError> {
        self.give_beside(request, desk, asked, command, Vec::new())
    }

    /// The same, with what is put on record beside it.
    pub(super) fn give_beside(
        &self,
        request: &PeopleRequest<'_>,
        desk: &Recorder,
        asked: &'static str,
        command: Result<Command, EngineError>,
        notes: Vec<Note>,
    ) -> Result<(), EngineError> {
        let run = desk.look(|run| run.plan);
        let done = command.and_then(|command| {
            let any = matches!(command, Command::Note { .. } | Command::Block { .. });
            let of_amendment = is_of_amendment(&command, request.plan, run);
            if run != Some(request.plan.digest()) && !of_amendment && !any {
                let started = run.ok_or(Refused::NoRun)?;
                return Err(Refused::PlanChanged { started, now: request.plan.digest() }.into());
            }
            let migration = &request.plan.document().migration;
            let mut beside: Vec<_> = notes::verified(desk).into_iter().collect();
            beside.push(notes::authority(migration.as_str(), asked));
            beside.extend(notes);
            desk.command(command, beside, self.clock.as_ref()).map_err(fitting)
        });
        done.map_err(|error| self.refuse_plan(request.plan, desk, asked, error))
    }
}

/// Where somebody other than who started the run must approve, it must be known who that is: else
/// nobody could, and the run would wait for ever.
pub(super) fn starter_is_known(request: &RunRequest<'_>) -> Result<(), EngineError> {
    let mut rules = request.plan.approvals().iter();
    let Some((name, _)) = rules.find(|(_, rule)| rule.not_initiator) else { return Ok(()) };
    let trust = trust_of(request.plan, request.folder)?;
    let key = request.signer.as_ref().map(|key| key.verifying_key().key_id());
    match Initiator::of(key.as_deref(), trust.as_ref()) {
        Initiator::Known(_) => Ok(()),
        Initiator::Unknown(why) => {
            let reason = format!("it must not come from who starts the run, and {why}");
            Err(Refused::NotApproved { subject: name.clone(), reason }.into())
        }
    }
}

/// Whether the command is about the amendment of the run's plan by this one. What an approval names was
/// compared before.
fn is_of_amendment(command: &Command, plan: &Plan, run: Option<Digest>) -> bool {
    let withdrawn = matches!(command, Command::Withdraw { subject, .. } if subject == AMENDMENT);
    matches!(command, Command::Approve(_)) || withdrawn && plan.parent() == run
}

/// Whether the run is one of this plan. An amendment is approved under the plan that is to come.
fn same_plan(run: &RunState, plan: &Plan, subject: &str) -> Result<(), Refused> {
    let amends = subject == AMENDMENT && plan.parent() == Some(run.plan);
    if run.plan == plan.digest() && subject != AMENDMENT || amends {
        return Ok(());
    }
    Err(Refused::PlanChanged { started: run.plan, now: plan.digest() })
}

fn not_now(reason: String) -> EngineError {
    Refused::NotNow { reason }.into()
}

/// A command of the engine that does not fit is a defect; one of a person is not.
fn fitting(error: EngineError) -> EngineError {
    match error {
        EngineError::Refused(Refused::Illegal(illegal)) => not_now(illegal.to_string()),
        other @ (EngineError::Refused(_)
        | EngineError::Journal(_)
        | EngineError::Fact(_)
        | EngineError::Illegal(_)
        | EngineError::NoRun(_)
        | EngineError::Work(_)) => other,
    }
}
