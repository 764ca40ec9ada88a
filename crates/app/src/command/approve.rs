//! `carnet approve`.

use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;

use carnet_engine::{Asked, Authority, Consent, Engine, Statement};
use carnet_ledger::trust::{TrustFile, TrustedKey};
use carnet_ledger::{Digest, EventTime};
use carnet_model::gate::Rule;
use carnet_model::plan::{Assurance, Duration};
use carnet_model::{Code, Exit};
use clap::Args;
use serde::Serialize;

use super::Setting;
use super::desk::Desk;
use crate::detached::{ApprovalPen, SignWith, now};
use crate::failure::Failure;
use crate::screen::Screen;
use crate::sheet::Sheet;

/// Approve what a run waits for, or take an approval back.
///
/// Shows the gates as they were judged and the digest of the plan; these are what is signed. The
/// approval counts for this plan, this run and these gates, until it expires. Then go on with `carnet
/// run PLAN`.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The plan file.
    plan: PathBuf,
    /// The approval, as the plan or its gate names it; `amendment` for the changed plan of a run;
    /// `skip:PHASE/STEP` for an undo that is to be skipped.
    #[arg(value_name = "GATE")]
    gate: String,
    /// Sign with this private key; the trust file of the plan says whose it is.
    #[arg(long, value_name = "ssh:FILE|openpgp:FILE")]
    key: Option<SignWith>,
    /// Approve as this person: where the key may stand for several, or a name is enough.
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// For how long it counts, such as PT4H; as long as the plan allows if nothing is said.
    #[arg(long, value_name = "DURATION", conflicts_with = "withdraw")]
    expires: Option<String>,
    /// Do not ask before signing.
    #[arg(long)]
    yes: bool,
    /// Take the approval back.
    #[arg(long, requires = "reason")]
    withdraw: bool,
    /// Why it is taken back.
    #[arg(long, requires = "withdraw")]
    reason: Option<String>,
}

/// What was approved.
#[derive(Serialize)]
struct View {
    subject: String,
    approver: String,
    key: Option<String>,
    run: String,
    plan: Digest,
    gate_table: Digest,
    at: String,
    expires: String,
    #[serde(skip)]
    file: String,
}

/// What was taken back.
#[derive(Serialize)]
struct Withdrawn {
    subject: String,
    approver: String,
    stands: bool,
    reason: String,
}

impl Approve {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let desk = Desk::open(setting, &self.plan)?;
        let subject = self.subject(&desk);
        let pen = self.key.as_ref().map(ApprovalPen::read).transpose()?;
        if self.withdraw {
            return self.take_back(setting, &desk, &subject, pen.as_ref());
        }
        let asked = desk.engine.asked(&desk.request()?, &subject);
        let asked = asked.map_err(|error| Failure::engine(&error))?;
        let rule = &asked.authority.rule;
        if rule.assurance == Assurance::Signed && pen.is_none() {
            return Err(Failure::new(Code::USAGE, format!("{subject} must be signed"))
                .remedy("name your private key: --key ssh:FILE, or openpgp:FILE"));
        }
        let approver = self.approver(&asked.authority, pen.as_ref())?;
        let at = pen.as_ref().map_or_else(now, |pen| Ok(pen.now()))?;
        let statement = Statement {
            subject,
            plan: asked.plan,
            gate_table: asked.gate_table,
            run: asked.run.clone(),
            approver,
            at,
            expires: self.expires(at, rule.expires_s)?,
        };
        self.confirm(setting.screen, &asked, &statement)?;
        let signature = pen.as_ref().map(|pen| pen.sign(&statement.text())).transpose()?;
        let consent = Consent { statement, signature };
        let done = desk.engine.approve(&desk.request()?, &consent);
        done.map_err(|error| Failure::engine(&error))?;
        let Statement { subject, plan, gate_table, run, approver, at, expires } = consent.statement;
        let (at, expires) = (at.to_string(), expires.to_string());
        let key = pen.map(|pen| pen.key());
        let file = self.plan.display().to_string();
        let view = View { subject, approver, key, run, plan, gate_table, at, expires, file };
        setting.screen.show(&view, View::text)?;
        Ok(Exit::Done)
    }

    /// The name of the approval: a gate's own name leads to it too.
    fn subject(&self, desk: &Desk<'_>) -> String {
        let gate = desk.file.plan.node(&self.gate).and_then(|(_, node)| node.gate());
        match gate.map(|gate| &gate.definition.rule) {
            Some(Rule::Approval(rule)) => rule.name.clone(),
            Some(_) | None => self.gate.clone(),
        }
    }

    /// Who approves: whom the trust file knows by this key, of those who may.
    fn approver(
        &self,
        authority: &Authority,
        pen: Option<&ApprovalPen>,
    ) -> Result<String, Failure> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let Some(pen) = pen else {
            return Err(
                Failure::new(Code::USAGE, "nobody is named").remedy("name who approves: --as NAME")
            );
        };
        let key = pen.key();
        let is_ours = |held: &TrustedKey| match held {
            TrustedKey::Ssh(held) => held.fingerprint() == key,
            TrustedKey::OpenPgp(held) => held.as_str() == key,
            TrustedKey::Log(_) => false,
        };
        let any_of = &authority.rule.any_of;
        let entries = authority.trust.iter().flat_map(TrustFile::entries);
        let ours: Vec<_> = entries.filter(|entry| is_ours(&entry.key)).collect();
        let mut names =
            any_of.iter().filter(|name| ours.iter().any(|it| it.principals.matches(name)));
        match (names.next(), names.next()) {
            (Some(one), None) => Ok(one.clone()),
            (Some(_), Some(_)) => {
                Err(Failure::new(Code::USAGE, "the key is one of several who may approve")
                    .remedy("say who approves: --as NAME"))
            }
            (None, _) => Err(Failure::new(
                Code::APPROVAL_INVALID,
                format!("the trust file knows the key {key} as nobody who may approve"),
            )
            .because(format!("those who may are {}", any_of.join(", ")))
            .changed("nothing was signed or recorded")),
        }
    }

    fn expires(&self, at: EventTime, longest_s: u64) -> Result<EventTime, Failure> {
        let seconds = match &self.expires {
            None => longest_s,
            Some(text) => {
                let read: Result<Duration, _> = text.parse();
                let read = read.map_err(|error| {
                    Failure::new(Code::USAGE, format!("{text} is no duration"))
                        .remedy(error.remedy())
                })?;
                read.seconds()
            }
        };
        let millis = i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(1000));
        let end = millis.and_then(|millis| at.unix_millis().checked_add(millis));
        let end = end.and_then(|end| EventTime::from_unix_millis(end).ok());
        end.ok_or_else(|| Failure::new(Code::USAGE, "it would hold beyond the year 9999"))
    }

    /// Shows what is signed, and asks whether it is meant.
    fn confirm(
        &self,
        screen: &Screen,
        asked: &Asked,
        statement: &Statement,
    ) -> Result<(), Failure> {
        screen.say(shown(asked, statement).trim_end());
        if self.yes {
            return Ok(());
        }
        let unasked = || {
            Failure::new(Code::USAGE, "nothing was signed: nobody said yes")
                .changed("nothing was signed or recorded")
                .remedy("look at the gates above, and add --yes")
        };
        let input = std::io::stdin();
        if screen.json || !input.is_terminal() {
            return Err(unasked());
        }
        screen.say(&format!("Approve as {}? Type yes:", statement.approver));
        let mut answer = String::new();
        let read = input.lock().read_line(&mut answer);
        read.map_err(|error| Failure::io("cannot read the answer", error))?;
        if answer.trim() == "yes" { Ok(()) } else { Err(unasked()) }
    }

    fn take_back(
        &self,
        setting: &Setting<'_>,
        desk: &Desk<'_>,
        subject: &str,
        pen: Option<&ApprovalPen>,
    ) -> Result<Exit, Failure> {
        let authority = desk.engine.authority(&desk.request()?, subject);
        let authority = authority.map_err(|error| Failure::engine(&error))?;
        let approver = self.approver(&authority, pen)?;
        let reason = self.reason.clone().unwrap_or_default();
        Engine::withdraw(&desk.engine, &desk.request()?, subject, &approver, &reason)
            .map_err(|error| Failure::engine(&error))?;
        let subject = subject.to_owned();
        let view = Withdrawn { subject, approver, stands: false, reason };
        setting.screen.show(&view, |view| {
            format!("the approval of {} by {} is withdrawn\n", view.subject, view.approver)
        })?;
        Ok(Exit::Done)
    }
}

/// The gates, and what a signature would stand for.
fn shown(asked: &Asked, statement: &Statement) -> String {
    let mut sheet = Sheet::default();
    let rule = &asked.authority.rule;
    let of = rule.any_of.join(", ");
    sheet.line(format_args!("approval of {}", asked.subject));
    sheet.field("  by", 12, &format!("{} of {of}", rule.count));
    for given in &asked.given {
        let until = format!("{}, until {}", given.approver, given.expires);
        sheet.field("  given", 12, &until);
    }
    sheet.line("gates as they were judged");
    for gate in &asked.gates {
        let by = if gate.exception.is_some() { "; open by exception" } else { "" };
        let verdict = format!("{}{by}", gate.verdict.replace('_', " "));
        let copies = match gate.damaged {
            0 => String::new(),
            all => format!("; {} of {all} damaged copies refused", gate.refused),
        };
        sheet.field(format!("  {}", gate.gate), 28, &format!("{verdict}{copies}"));
        sheet.field("", 28, &gate.reason);
        if let Some(exception) = &gate.exception {
            sheet.field("", 28, &format!("exception {exception}"));
        }
    }
    if asked.gates.is_empty() {
        sheet.line("  none");
    }
    sheet.line("what is signed");
    sheet.field("  plan", 12, &statement.plan.to_string());
    sheet.field("  gates", 12, &statement.gate_table.to_string());
    sheet.field("  run", 12, &statement.run);
    sheet.field("  as", 12, &statement.approver);
    sheet.field("  until", 12, &statement.expires.to_string());
    sheet.text()
}

impl View {
    fn text(&self) -> String {
        let mut sheet = Sheet::default();
        let by = match &self.key {
            Some(key) => format!("{}, {key}", self.approver),
            None => format!("{} (a name, not signed)", self.approver),
        };
        sheet.line(format_args!("approved: {}", self.subject));
        sheet.field("  by", 12, &by);
        sheet.field("  until", 12, &self.expires);
        sheet.field("next", 12, &format!("carnet run {}", self.file));
        sheet.text()
    }
}
