//! Runs and drills certify a programme: a small run, a large one, one that repeats another, and
//! faults that took place.

#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::places::bare;
use super::{Agreed, Bounds, Check, Evidence, agree};
use crate::form::Form;
use crate::moment;
use crate::own::CAUGHT_UP_LAG_MAX;
use crate::wrong::Wrong;

/// A drill: a run with a fault in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Drill {
    /// Events are sent again.
    Duplicate,
    /// The broker has an event, and its answer is lost.
    AmbiguousPublish,
    /// A second writer while the first one works.
    SecondWriter,
}

impl Drill {
    /// The name in plans and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::AmbiguousPublish => "ambiguous_publish",
            Self::SecondWriter => "second_writer",
        }
    }

    /// The files of a drill: its report, and where the platform itself shows that the fault took place.
    pub const fn forms(self) -> &'static [Form] {
        match self {
            Self::Duplicate | Self::AmbiguousPublish => {
                &[Form::Run, Form::ReceiptSummary, Form::DrillReport]
            }
            Self::SecondWriter => &[
                Form::Run,
                Form::DrillReport,
                Form::WriterConflict,
                Form::RunReport,
                Form::RunCompleted,
            ],
        }
    }
}

/// A run of a certification.
pub struct CertifiedRun<'a> {
    /// Its files: see [`CertifiedRun::forms`].
    pub evidence: Evidence<'a>,
    /// How many events it must have admitted.
    pub events: u64,
    /// The place of an earlier run which it repeats.
    pub repeats: Option<usize>,
}

impl CertifiedRun<'_> {
    /// The files of a run; one that repeats another, and this other, say what they meant.
    pub fn forms(is_compared: bool) -> Vec<Form> {
        let meant = is_compared.then_some(Form::SemanticDigest);
        let counted = [Form::Run, Form::ReceiptSummary].into_iter().chain(meant);
        counted.chain(Check::Closure.needs().iter().copied()).collect()
    }
}

/// A run with a fault in it.
pub struct DrilledRun<'a> {
    /// Its files: see [`Drill::forms`].
    pub evidence: Evidence<'a>,
    /// Which fault.
    pub drill: Drill,
}

/// Whether a shakedown, which is the first run, the runs after it, and drills certify a programme.
pub fn certify(runs: &[CertifiedRun<'_>], drills: &[DrilledRun<'_>]) -> Result<Agreed, Wrong> {
    let [shakedown, later @ ..] = runs else {
        return Err(Wrong::empty("there is no run"));
    };
    if later.is_empty() {
        return Err(Wrong::empty("there is no run after the shakedown"));
    }
    if drills.is_empty() {
        return Err(Wrong::empty("there is no drill"));
    }
    let mut compared = 0_u64;
    for run in runs {
        compared = compared.saturating_add(of(&run.evidence, closed(run))?);
    }
    for run in drills {
        compared = compared.saturating_add(of(&run.evidence, drilled(run))?);
    }
    let others = later.iter().map(|run| &run.evidence);
    for evidence in others.chain(drills.iter().map(|run| &run.evidence)) {
        compared += of(evidence, same_image(&shakedown.evidence, evidence))?;
    }
    for run in later {
        compared += of(&run.evidence, after(shakedown, run))?;
    }
    for (spot, run) in runs.iter().enumerate() {
        if let Some(earlier) = run.repeats {
            let before = runs.get(..spot).unwrap_or_default();
            compared += of(&run.evidence, repeated(before.get(earlier), run))?;
        }
    }
    Ok(Agreed { compared })
}

/// Says of which run something is wrong.
fn of<T>(evidence: &Evidence<'_>, judged: Result<T, Wrong>) -> Result<T, Wrong> {
    judged.map_err(|wrong| {
        let run = evidence.given(Form::Run);
        let run = run.map_or("a run without run.json", |run| run.text("/platform_run_id"));
        Wrong { what: format!("{run}: {}", wrong.what), ..wrong }
    })
}

/// It is closed, and admitted as many events as were asked for: by the receipts, by the report, and
/// by what it meant.
fn closed(run: &CertifiedRun<'_>) -> Result<u64, Wrong> {
    let evidence = &run.evidence;
    let checks = [Check::Closure, Check::Unresolved];
    let mut compared = agree(&checks, evidence, Bounds::default())?.compared;
    let places = [
        (Form::ReceiptSummary, "/by_outcome/ADMIT"),
        (Form::RunReport, "/ingress/admit"),
        (Form::SemanticDigest, "/sections/admitted/row_count"),
    ];
    let must = i64::try_from(run.events).unwrap_or(i64::MAX);
    for (form, at) in places {
        if form == Form::SemanticDigest && evidence.given(form).is_none() {
            continue;
        }
        let says = evidence.needed(form)?;
        let admitted = says.number(at)?;
        if admitted != must {
            return says.differs(format!("says that {admitted} were admitted, not {must}"));
        }
        compared = compared.saturating_add(1);
    }
    Ok(compared)
}

/// Its report is of this drill; that its fault took place was seen by [`super::own_sums`].
fn drilled(run: &DrilledRun<'_>) -> Result<u64, Wrong> {
    let compared = run.evidence.each(CAUGHT_UP_LAG_MAX)?;
    let report = run.evidence.needed(Form::DrillReport)?;
    let (found, must) = (report.text("/drill"), run.drill.name());
    if found != must {
        return report.differs(format!("is of {found}, not {must}"));
    }
    let took_place = report.number("/fault/took_place")?;
    let shown = match run.drill {
        Drill::Duplicate => "/by_outcome/DUPLICATE",
        Drill::AmbiguousPublish => "/admission_states/PUBLISH_AMBIGUOUS",
        Drill::SecondWriter => return Ok(compared.saturating_add(lost(&run.evidence)?)),
    };
    let receipts = run.evidence.needed(Form::ReceiptSummary)?;
    let count = receipts.number(shown)?;
    if count < took_place {
        return receipts.differs(format!(
            "shows {count} at {shown}, and the drill says that {took_place} took place"
        ));
    }
    Ok(compared.saturating_add(1))
}

/// Somebody was refused by the very writer that closed the run, and before it was closed.
fn lost(evidence: &Evidence<'_>) -> Result<u64, Wrong> {
    let conflict = evidence.needed(Form::WriterConflict)?;
    let report = evidence.needed(Form::RunReport)?;
    let (lock, held) = (conflict.text("/lock_key"), report.text("/basis/lock_key"));
    if lock != held {
        return conflict.differs(format!("is about the lock {lock}, and the report about {held}"));
    }
    let held = conflict.number("/held_by/generation")?;
    let wrote = report.number("/basis/writer_generation")?;
    if held != wrote {
        let what =
            format!("was refused by the lease {held}, and the lease {wrote} wrote the report");
        return conflict.differs(what);
    }
    let marker = evidence.needed(Form::RunCompleted)?;
    let [refused, closed] = [conflict, marker].map(|says| says.text("/written_at_utc"));
    if moment::micros(refused) > moment::micros(closed) {
        return conflict.differs(format!("is of {refused}, and the run was closed at {closed}"));
    }
    Ok(3)
}

/// Whether a run was pinned to this image.
pub fn has_image(run: &CertifiedRun<'_>, image: &str) -> Result<(), Wrong> {
    of(&run.evidence, {
        let pinned = run.evidence.needed(Form::Run)?;
        let found = pinned.text("/image_digest");
        if bare(found) == bare(image) {
            Ok(())
        } else {
            pinned.differs(format!("has the image {found}, and not {image}"))
        }
    })
}

fn same_image(one: &Evidence<'_>, other: &Evidence<'_>) -> Result<u64, Wrong> {
    let (one, other) = (one.needed(Form::Run)?, other.needed(Form::Run)?);
    let (must, found) = (one.text("/image_digest"), other.text("/image_digest"));
    if bare(must) == bare(found) {
        return Ok(1);
    }
    let shakedown = one.text("/platform_run_id");
    other.differs(format!("has the image {found}, and {shakedown} has {must}"))
}

/// It is not smaller than the shakedown, and began after the shakedown was closed.
fn after(shakedown: &CertifiedRun<'_>, run: &CertifiedRun<'_>) -> Result<u64, Wrong> {
    if run.events < shakedown.events {
        let (events, least) = (run.events, shakedown.events);
        let what = format!("it has {events} events, and the shakedown before it {least}");
        return Err(Wrong::differs(what));
    }
    let marker = shakedown.evidence.needed(Form::RunCompleted)?;
    let pinned = run.evidence.needed(Form::Run)?;
    let [closed, began] = [marker, pinned].map(|says| says.text("/written_at_utc"));
    if moment::micros(began) > moment::micros(closed) {
        return Ok(2);
    }
    pinned.differs(format!("is of {began}, and the shakedown was closed only at {closed}"))
}

/// It is another run than the one that it repeats, of the same configuration, and meant the same.
fn repeated(earlier: Option<&CertifiedRun<'_>>, run: &CertifiedRun<'_>) -> Result<u64, Wrong> {
    let Some(earlier) = earlier else {
        return Err(Wrong::empty("there is no earlier run which it repeats"));
    };
    let [first, again] = [earlier, run].map(|run| &run.evidence);
    let (one, other) = (first.needed(Form::Run)?, again.needed(Form::Run)?);
    let id = one.text("/platform_run_id");
    if id == other.text("/platform_run_id") {
        return other.differs("is that of the run which it repeats");
    }
    let (meant, again) = (first.needed(Form::SemanticDigest)?, again.needed(Form::SemanticDigest)?);
    let configuration = bare(one.text("/config_digest"));
    for says in [other, meant, again] {
        if bare(says.text("/config_digest")) != configuration {
            return says.differs(format!("has another configuration than {id}, which it repeats"));
        }
    }
    let [must, found] = [meant, again].map(|says| bare(says.text("/semantic_digest")));
    if found != must {
        return again.differs(format!("is {found}, and that of {id}, which it repeats, {must}"));
    }
    Ok(5)
}
