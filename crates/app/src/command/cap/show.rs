//! `carnet cap show`.

use carnet_model::Exit;
use carnet_model::capability::{ApprovalMode, Descriptor, Fencing, Repeat, Safety, UndoKind};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{Promises, named};
use crate::command::Setting;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// Show what a capability does, promises and takes.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Such as file.copy.
    name: String,
}

/// A capability.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "carnet cap show NAME --json")]
pub(in crate::command) struct View {
    #[serde(flatten)]
    promises: Promises,
    /// The JSON Schema of its inputs.
    inputs: Value,
}

impl Show {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let one = named(&self.name)?;
        let view = View { promises: Promises::of(one), inputs: (one.inputs)() };
        setting.screen.show(&view, |view| text(one, view))?;
        Ok(Exit::Done)
    }
}

fn text(one: &Descriptor, view: &View) -> String {
    let mut sheet = Sheet::default();
    sheet.line(one.name);
    sheet.gap();
    sheet.field("does", 10, one.does);
    let changes = match one.safety {
        Safety::ReadOnly => "nothing: it only looks",
        Safety::Mutating => "something outside of the run's own state",
    };
    sheet.field("changes", 10, changes);
    let repeat = match one.repeat {
        Repeat::Again => "after a crash it is done again: twice is as good as once",
        Repeat::Probe => "after a crash the world is asked whether it happened",
        Repeat::Manual => "after a crash a person decides, if its inputs say nothing else",
    };
    sheet.field("repeat", 10, repeat);
    let undo = match one.undo {
        UndoKind::Nothing => "nothing to take back",
        UndoKind::Own => "it takes itself back",
        UndoKind::ByPlan => "the plan names what takes it back, or refuses with a reason",
    };
    sheet.field("undo", 10, undo);
    let fencing = match one.fencing {
        Fencing::Transactional => "an older writer is refused in the same transaction",
        Fencing::Conditional => "an older writer is refused where something has changed since",
        Fencing::None => "an older writer is noticed by the look at the lease just before",
    };
    sheet.field("fencing", 10, fencing);
    let approval = match one.approval {
        ApprovalMode::None => "none",
        ApprovalMode::Asked => "each phase with it needs one",
    };
    sheet.field("approval", 10, approval);
    if !one.gates.is_empty() {
        sheet.field("gates", 10, &one.gates.join(", "));
    }
    sheet.gap();
    inputs(&mut sheet, &view.inputs);
    sheet.text()
}

/// The keys that it takes, those that must be there first.
fn inputs(sheet: &mut Sheet, schema: &Value) {
    let Some(Value::Object(keys)) = schema.get("properties") else {
        sheet.line("it takes no inputs");
        return;
    };
    let required: Vec<&str> = match schema.get("required") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => Vec::new(),
    };
    let width = keys.keys().map(String::len).max().unwrap_or(0).max(10);
    sheet.line("inputs (* must be there; the whole schema: --json)");
    for must in [true, false] {
        for (name, key) in keys.iter().filter(|(name, _)| required.contains(&name.as_str()) == must)
        {
            let says = key.get("description").and_then(Value::as_str).unwrap_or_default();
            let says = says.replace('\n', " ");
            let default = match key.get("default") {
                Some(Value::Null) | None => String::new(),
                Some(default) => format!(" [default: {default}]"),
            };
            let mark = if must { "*" } else { " " };
            sheet.field(format!("{mark} {name}"), width + 2, &format!("{says}{default}"));
        }
    }
}
