//! `carnet schema`.

mod closed;

use carnet_engine::{Advanced, NoteRow, ProgrammeReport, Report, StopReport, Why};
use carnet_model::portability::claims::{Claims, Environment as About};
use carnet_model::portability::conformance::Conformance;
use carnet_model::portability::{DependencyManifest, Terms};
use carnet_model::{Code, Exit};
use carnet_programme::Form;
use clap::{Args, ValueEnum};
use schemars::JsonSchema;

use super::plan::ChangesView;
use super::{Setting, cap, gate, history, note, repin, rollback, status};
use crate::failure::Failure;
use crate::screen::Screen;
use crate::view::plan::PlanView;
use crate::view::run::RunView;

/// Print the JSON Schema of plans, or of what a command prints with `--json`.
#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// What to describe.
    #[arg(value_enum, default_value_t = What::Plan)]
    what: What,
    /// Of `evidence`: the form. `docs/programme-evidence.md` lists them.
    form: Option<String>,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// Plans, for editors.
    Plan,
    /// What stands in a plan under `portability`.
    Portability,
    /// What stands in a plan under `programme`.
    Programme,
    /// What `carnet phase show --json` prints.
    PhaseShown,
    /// What `carnet phase advance --json` prints.
    PhaseAdvanced,
    /// What `carnet note --text … --json` prints.
    NoteKept,
    /// What `carnet note --json` prints.
    Notes,
    /// What `carnet repin --json` prints.
    Repinned,
    /// What `carnet plan --json` prints.
    PlanShown,
    /// What `carnet plan NEW --amends OLD --json` prints.
    PlanChanges,
    /// What `carnet status PLAN --json` prints, and `run` and `rollback` too.
    Status,
    /// What `carnet status --json` prints.
    StatusAll,
    /// Each line of `carnet status PLAN --watch --json`.
    StatusWatch,
    /// What `carnet history --json` prints.
    History,
    /// What `carnet why --json` prints.
    Why,
    /// What `carnet rollback PLAN --preview --json` prints.
    RollbackPreview,
    /// What `carnet incident list --json` prints.
    IncidentList,
    /// What `carnet gate list --json` prints.
    GateList,
    /// What `carnet gate list NAME --json` prints.
    GateShown,
    /// What `carnet gate score --json` prints.
    GateScore,
    /// What `carnet cap list --json` prints.
    CapList,
    /// What `carnet cap show NAME --json` prints.
    CapShown,
    /// What `carnet cap run NAME --json` prints, with its receipts.
    CapRun,
    /// What `carnet claims --json` prints.
    Claims,
    /// The file of `carnet claims --env`.
    Environment,
    /// What `carnet conformance --json` prints.
    Conformance,
    /// `dependencies` of a plan, and `dependency-manifest.json` of a bundle.
    Dependencies,
    /// `terms` of a plan.
    Terms,
    /// An evidence file of a programme, by the name of its form.
    Evidence,
}

impl Schema {
    pub(super) fn run(&self, _setting: &Setting<'_>) -> Result<Exit, Failure> {
        if self.form.is_some() && !matches!(self.what, What::Evidence) {
            let what = "only `carnet schema evidence` takes the name of a form";
            return Err(Failure::new(Code::USAGE, what).remedy("leave the second name out"));
        }
        let text = match self.what {
            What::Evidence => serde_json::to_string_pretty(&self.form()?.schema()),
            What::Plan => carnet_model::plan::schema_text(),
            What::Portability => {
                serde_json::to_string_pretty(&carnet_model::plan::Portability::schema())
            }
            What::Programme => {
                serde_json::to_string_pretty(&carnet_model::plan::Programme::schema())
            }
            What::PhaseShown => shown::<ProgrammeReport>(),
            What::PhaseAdvanced => shown::<Advanced>(),
            What::NoteKept => shown::<note::Kept<'_>>(),
            What::Notes => shown::<Vec<NoteRow>>(),
            What::Repinned => shown::<repin::Repinned>(),
            What::Claims => serde_json::to_string_pretty(&Claims::schema()),
            What::Environment => serde_json::to_string_pretty(&About::schema()),
            What::Conformance => shown::<Conformance>(),
            What::Dependencies => serde_json::to_string_pretty(&DependencyManifest::schema()),
            What::Terms => serde_json::to_string_pretty(&Terms::schema()),
            What::PlanShown => shown::<PlanView<'_>>(),
            What::PlanChanges => shown::<ChangesView>(),
            What::Status => shown::<RunView>(),
            What::StatusAll => shown::<Vec<Report>>(),
            What::StatusWatch => shown::<status::Changed<'_>>(),
            What::History => shown::<Vec<history::Entry>>(),
            What::Why => shown::<Why>(),
            What::RollbackPreview => shown::<rollback::Preview>(),
            What::IncidentList => shown::<Vec<StopReport>>(),
            What::GateList => shown::<Vec<gate::Kind>>(),
            What::GateShown => shown::<gate::Kind>(),
            What::GateScore => shown::<gate::ScoreView>(),
            What::CapList => shown::<Vec<cap::Promises>>(),
            What::CapShown => shown::<cap::Shown>(),
            What::CapRun => shown::<cap::Used>(),
        };
        let text = text.map_err(|error| Failure::from_error(&error, Code::BUG))?;
        Screen::data(&format!("{text}\n"))?;
        Ok(Exit::Done)
    }
}

impl Schema {
    /// The form that is asked for.
    fn form(&self) -> Result<Form, Failure> {
        let name = self.form.as_deref().unwrap_or_default();
        Form::named(name).ok_or_else(|| {
            let names: Vec<&str> = Form::ALL.iter().map(|form| form.name()).collect();
            Failure::new(Code::USAGE, format!("there is no evidence of the form {name:?}"))
                .remedy(format!("name one of {}", names.join(", ")))
        })
    }
}

/// The schema of what is shown: a member that it does not name is wrong.
fn shown<T: JsonSchema>() -> serde_json::Result<String> {
    serde_json::to_string_pretty(&closed::schema_of::<T>())
}
