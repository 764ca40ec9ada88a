//! `carnet gate`: which gates there are, and what they refuse.

use carnet_model::gate::{Gate, GateKind, Scored, kinds, score};
use carnet_model::{Code, Exit};
use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Setting;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// Show which gates there are, and that each can fail.
#[derive(Debug, Args)]
pub(crate) struct GateCommand {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    List(List),
    Score(Score),
}

/// List the gates that a plan can name; with a name, show what it can be told.
#[derive(Debug, Args)]
struct List {
    /// The kind of gate, such as http.
    kind: Option<String>,
}

/// Judge damaged copies of sample observations by every built-in gate, and count what is refused.
///
/// Each gate must pass its samples, refuse each damaged copy of them, and pass nothing that is
/// empty. The exit status is 3 if one does not.
#[derive(Debug, Args)]
struct Score {}

impl GateCommand {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        match &self.what {
            What::List(list) => list.run(setting),
            What::Score(_) => show_score(setting),
        }
    }
}

/// A kind of gate.
#[derive(Serialize, JsonSchema)]
pub(super) struct Kind {
    /// What a plan calls it.
    gate: &'static str,
    /// What it does.
    does: &'static str,
    /// The JSON Schema of what it is told under `with`.
    schema: Value,
}

impl Kind {
    fn of(kind: &GateKind) -> Self {
        Self { gate: kind.name(), does: kind.does, schema: (kind.schema)() }
    }
}

impl List {
    fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let Some(name) = &self.kind else {
            let all: Vec<Kind> = kinds().iter().map(Kind::of).collect();
            setting.screen.show(&all, |all| {
                let mut sheet = Sheet::default();
                for kind in all {
                    sheet.field(kind.gate, 13, kind.does);
                }
                sheet.gap();
                sheet.line("`carnet gate list NAME` shows the keys of one of them.");
                sheet.text()
            })?;
            return Ok(Exit::Done);
        };
        let kind = kinds().iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names: Vec<&str> = kinds().iter().map(GateKind::name).collect();
            Failure::new(Code::USAGE, format!("there is no gate {name:?}"))
                .remedy(format!("name one of {}", names.join(", ")))
        })?;
        setting.screen.show(&Kind::of(kind), keys)?;
        Ok(Exit::Done)
    }
}

/// The keys of a gate, for people.
fn keys(kind: &Kind) -> String {
    let mut sheet = Sheet::default();
    sheet.field(kind.gate, kind.gate.len(), kind.does);
    let required = kind.schema.get("required").and_then(Value::as_array);
    let is_required =
        |key: &str| required.is_some_and(|keys| keys.iter().any(|it| it.as_str() == Some(key)));
    let keys = kind.schema.get("properties").and_then(Value::as_object);
    for (key, about) in keys.into_iter().flatten() {
        let said = about.get("description").and_then(Value::as_str).unwrap_or_default();
        let must = if is_required(key) { " (must be said)" } else { "" };
        sheet.gap();
        sheet.line(format_args!("  {key}{must}"));
        sheet.field("  ", 2, &said.replace('\n', " "));
    }
    sheet.text()
}

/// What the built-in gates refuse.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "carnet gate score --json")]
pub(super) struct ScoreView {
    /// Whether each passes what is good and refuses what is damaged.
    sound: bool,
    /// The gates.
    gates: Vec<Scored>,
}

fn show_score(setting: &Setting<'_>) -> Result<Exit, Failure> {
    let gates = score();
    let view = ScoreView { sound: gates.iter().all(Scored::is_sound), gates };
    setting.screen.show(&view, table)?;
    // A built-in gate that lets damage pass is a defect; it is told like a gate that is broken.
    Ok(if view.sound { Exit::Done } else { Code::GATE_BROKEN.exit() })
}

fn table(view: &ScoreView) -> String {
    let mut sheet = Sheet::default();
    sheet.line("gate                samples  passed  damaged  refused  empty  no_data");
    let (mut damaged, mut refused) = (0, 0);
    for it in &view.gates {
        let Scored { gate, samples, passed, empty, no_data, .. } = it;
        damaged += it.damaged;
        refused += it.refused;
        let (all, out) = (it.damaged, it.refused);
        let mark = if it.is_sound() { "" } else { "  BROKEN" };
        let id = gate.id();
        sheet.line(format_args!(
            "{id:<20}{samples:>7}{passed:>8}{all:>9}{out:>9}{empty:>7}{no_data:>9}{mark}"
        ));
        if !it.missed.is_empty() {
            sheet.field("  let pass:", 11, &it.missed.join(", "));
        }
    }
    sheet.gap();
    let gates = Gate::ALL.len();
    sheet.line(format_args!("{gates} gates: {refused} of {damaged} damaged copies refused"));
    sheet.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_lets_damage_pass_is_marked_and_named() {
        let mut gates = score();
        gates[3].refused -= 1;
        gates[3].missed = vec!["target_missing".to_owned()];
        let text = table(&ScoreView { sound: false, gates });
        let line = text.lines().find(|line| line.contains("BROKEN")).unwrap();
        assert!(line.starts_with("losses"), "{text}");
        assert!(text.contains("  let pass:  target_missing"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn the_keys_of_every_gate_fit_the_screen() {
        for kind in kinds() {
            let text = keys(&Kind::of(kind));
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
    }
}
