//! The evidence contract of a phase: each file is there, and is what its form demands.

use std::collections::BTreeSet;

use carnet_model::gate::{Asked, Rule, Verdict, judge_facts, run_evidence};
use carnet_model::plan::{EvidenceFile, Programme, WrittenPhase};
use carnet_process::Missing;
use carnet_programme::{CAUGHT_UP_LAG_MAX, CLOCK_SKEW_S, Form, Run};

use crate::error::StepError;
use crate::evidence_root::EvidenceRoot;
use crate::gate::Surroundings;
use crate::gate::outside::look;

/// What of the contract does not hold. A file without a form of ours must be there, and not empty;
/// what stands in it is for gates to judge.
pub(super) fn missing(
    programme: &Programme,
    phase: &WrittenPhase,
    around: &Surroundings<'_>,
) -> Result<Vec<Missing>, StepError> {
    let root = EvidenceRoot::open(&programme.evidence_root, around.folder, around.outside)?;
    let mut found = Vec::new();
    for file in &phase.evidence {
        let ids = phase.phase_id.iter().map(|id| id.as_str());
        let paths: BTreeSet<_> =
            ids.map(|id| programme.evidence_path(file.path.as_str(), id)).collect();
        for path in paths {
            let Some(path) = path else {
                let what = format!("nothing says what stands for the tokens of {}", file.path);
                found.push(Missing::new(what, "write the path out in the plan, by an amendment"));
                continue;
            };
            let wrong = match Form::named(file.form.as_str()) {
                // Nothing was put aside: beside other evidence that is a sentence of its own.
                Some(Form::QuarantineRecord)
                    if phase.evidence.len() > 1 && root.bytes(&path)? == Some(0) =>
                {
                    None
                }
                Some(form) => by_form(programme, form, &path, around)?,
                None => by_place(file, &path, &root)?,
            };
            found.extend(wrong.map(|what| {
                let remedy = format!("have it written below {}", programme.evidence_root);
                Missing::new(what, remedy)
            }));
        }
    }
    Ok(found)
}

fn by_place(
    file: &EvidenceFile,
    path: &str,
    root: &EvidenceRoot,
) -> Result<Option<String>, StepError> {
    Ok(match root.bytes(path)? {
        Some(0) => Some(format!("the evidence {path} ({}) is empty", file.form)),
        Some(_) => None,
        None => Some(format!("the evidence {path} ({}) is not there", file.form)),
    })
}

/// The same look, and the same judge, as those of the gate `run_evidence`.
fn by_form(
    programme: &Programme,
    form: Form,
    path: &str,
    around: &Surroundings<'_>,
) -> Result<Option<String>, StepError> {
    let asked = Asked { form, path: Some(path.to_owned()), sha256: None, optional: false };
    let rule = Rule::RunEvidence(run_evidence::Rule {
        root: programme.evidence_root.clone(),
        run: run_of(programme, path),
        files: vec![asked],
        clock_skew_s: CLOCK_SKEW_S,
        lag_max: u32::try_from(CAUGHT_UP_LAG_MAX).unwrap_or(0),
    });
    let seen = look(around, &rule)?;
    let Some(said) = judge_facts(&rule, &seen.facts) else {
        return Ok(Some(format!("nobody has judged the evidence {path} ({form})")));
    };
    let holds = said.verdict == Verdict::Pass;
    Ok((!holds).then(|| format!("the evidence {path} ({form}) does not hold: {}", said.reason)))
}

/// The run that a file must belong to: that of the programme, or the one that its path names. A
/// certification has runs of its own.
fn run_of(programme: &Programme, path: &str) -> Run {
    let pins = &programme.run;
    let named = path.split('/').find(|part| part.starts_with("platform_"));
    match named {
        Some(other) if other != pins.platform_run_id => {
            Run { platform_run_id: other.to_owned(), ..Run::default() }
        }
        Some(_) | None => Run {
            platform_run_id: pins.platform_run_id.clone(),
            scenario_run_id: Some(pins.scenario_run_id.clone()),
            ..Run::default()
        },
    }
}
