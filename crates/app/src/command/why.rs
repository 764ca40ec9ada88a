//! `carnet why`.

use std::path::PathBuf;

use carnet_engine::{self as engine, DamagedCopy};
use carnet_model::{Code, Exit};
use clap::Args;
use serde_json::Value;

use super::Setting;
use crate::amount;
use crate::failure::Failure;
use crate::plan_file::PlanFile;
use crate::sheet::{Sheet, WIDTH};

/// Say why a gate is open or closed: what it demands, what it saw, and what would have failed it.
///
/// Reads the plan and the log; nothing is looked at again.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// The plan file.
    plan: PathBuf,
    /// The gate, as PHASE/GATE; its own name is enough where no other has it.
    gate: String,
}

/// Where the second column begins.
const LABEL: usize = 14;

impl Why {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let file = PlanFile::open(&self.plan)?;
        let gate = self.gate(&file)?;
        let state = setting.state_of(&file.plan);
        let why = engine::why(setting.log_of(&state)?, &file.plan, &gate)
            .map_err(|error| Failure::engine(&error))?;
        let Some(why) = why else { return Err(unknown(&file, &self.gate)) };
        setting.screen.show(&why, text)?;
        Ok(Exit::Done)
    }

    /// The full name of the gate.
    fn gate(&self, file: &PlanFile) -> Result<String, Failure> {
        let all = file.plan.phases().iter().flat_map(carnet_model::plan::Phase::gates);
        let called = |name: &str, short: &str| name == self.gate || short == self.gate;
        let mut found = all
            .filter(|(node, _)| called(&node.name, node.short_name()))
            .map(|(node, _)| &node.name);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one.clone()),
            (Some(first), Some(second)) => {
                let what = format!("several gates are named {}", self.gate);
                Err(Failure::new(Code::USAGE, what)
                    .remedy(format!("give its phase too, such as {first} or {second}")))
            }
            (None, _) => Err(unknown(file, &self.gate)),
        }
    }
}

fn unknown(file: &PlanFile, gate: &str) -> Failure {
    let all = file.plan.phases().iter().flat_map(carnet_model::plan::Phase::gates);
    let names: Vec<_> = all.map(|(node, _)| node.name.as_str()).collect();
    Failure::new(Code::USAGE, format!("the plan has no gate {gate}"))
        .remedy(format!("its gates are {}", names.join(", ")))
}

fn text(why: &engine::Why) -> String {
    let mut sheet = Sheet::default();
    let state = match (&why.verdict, why.open) {
        (None, _) => "not judged yet".to_owned(),
        (Some(verdict), true) if why.exception.is_some() => {
            format!("open by exception ({})", verdict.replace('_', " "))
        }
        (Some(verdict), true) => format!("open ({})", verdict.replace('_', " ")),
        (Some(verdict), false) => format!("not open ({})", verdict.replace('_', " ")),
    };
    sheet.line(format_args!("gate {}: {state}", why.gate));
    sheet.field("  because", LABEL, &why.reason);
    if let Some(exception) = &why.exception {
        sheet.field("  exception", LABEL, exception);
    }
    if !why.remedy.is_empty() && !why.open {
        sheet.field("  help", LABEL, &why.remedy);
    }
    sheet.line("what it demands");
    sheet.field("  in words", LABEL, &why.demands);
    sheet.field(
        "  age",
        LABEL,
        &format!("at most {} s when it is judged", why.definition.age_s_max),
    );
    sheet.field("  sample", LABEL, &format!("at least {}", why.definition.sample_min));
    let rule = serde_json::to_value(&why.definition.rule).unwrap_or_default();
    members(&mut sheet, &rule);
    sheet.field("  digest", LABEL, &why.definition_digest.to_string());
    if let (Some(at), Some(event)) = (&why.judged_at, why.event) {
        sheet.line("what it saw");
        sheet.field("  judged", LABEL, &format!("{at}, event {event}, {}", times(why.times)));
        if let Some(age) = why.age_ms {
            let age = amount::duration(age.saturating_mul(1000));
            sheet.field("  seen", LABEL, &format!("{age} before that"));
        }
        let facts = why.observation.as_ref().and_then(|it| it.get("facts"));
        if let Some(facts) = facts {
            members(&mut sheet, facts);
        }
        damage(&mut sheet, why);
    }
    sheet.text()
}

fn times(times: u64) -> String {
    if times == 1 { "asked once".to_owned() } else { format!("asked {times} times") }
}

/// The most lines of one member that are shown.
const MEMBER_LINES: usize = 12;

/// The members of a rule or of facts, a field each; --json has them whole.
fn members(sheet: &mut Sheet, value: &Value) {
    for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| *name != "gate")
    {
        let mut found = Vec::new();
        parts(name, value, &mut found);
        for (name, shown) in found.iter().take(MEMBER_LINES) {
            sheet.field(format!("  {name}"), LABEL, shown);
        }
        let more = found.len().saturating_sub(MEMBER_LINES);
        if more > 0 {
            sheet.field("", LABEL, &format!("… and {more} more: --json has all of it"));
        }
    }
}

/// A value in one piece where it fits a line, else part by part: `content.sha256`.
fn parts(name: &str, value: &Value, found: &mut Vec<(String, String)>) {
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let shown = match value {
        Value::String(text) => text.chars().take(TEXT_MAX).map(printable).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            spaced(&value.to_string())
        }
    };
    let fits = shown.chars().count() <= WIDTH - LABEL - 2;
    match value {
        Value::Object(members) if !fits => {
            members.iter().for_each(|(key, one)| parts(&format!("{name}.{key}"), one, found));
        }
        Value::Array(items) if !fits => {
            let numbered = items.iter().enumerate();
            numbered.for_each(|(number, one)| parts(&format!("{name}.{number}"), one, found));
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => found.push((name.to_owned(), shown)),
    }
}

/// The longest text that is shown.
const TEXT_MAX: usize = 300;

/// JSON with room after commas and colons.
fn spaced(text: &str) -> String {
    text.replace(",\"", ", \"").replace("},{", "}, {").replace("\":", "\": ")
}

/// What would have failed it.
fn damage(sheet: &mut Sheet, why: &engine::Why) {
    if why.damaged == 0 {
        sheet.line("what would have failed it: not shown, since it did not pass");
        return;
    }
    let (refused, damaged) = (why.refused, why.damaged);
    sheet.line(format_args!("what would have failed it: {refused} of {damaged} copies refused"));
    for DamagedCopy { name, refused, reason } in &why.damage {
        let word = if *refused { "refused" } else { "MISSED" };
        sheet.field(format!("  {word:<8}{}", name.replace('_', " ")), 34, reason);
    }
    let made = why.damage.len() as u64;
    if damaged > made {
        let more = damaged - made;
        sheet.line(format_args!(
            "  and {more} made of the content itself, which the log has by number"
        ));
    }
}
