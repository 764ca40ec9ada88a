//! Where services and jobs ran, and from which image.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Evidence;
use super::places::bare;
use crate::form::Form;
use crate::own::Says;
use crate::tally::Task;
use crate::wrong::Wrong;

/// Each task that is told of is recorded; each that is recorded ran where it may, from the image of the run.
pub(super) fn placed(evidence: &Evidence<'_>, compute: &[String]) -> Result<u64, Wrong> {
    if compute.is_empty() {
        return Err(Wrong::empty("nothing says where tasks may run"));
    }
    let tasks = evidence.lines(Form::TaskRun).map_or(&[][..], |tally| tally.tasks.as_slice());
    let image = evidence.needed(Form::Run)?.text("/image_digest");
    let mut names = BTreeSet::new();
    for task in tasks {
        let (role, name) = (&task.role, &task.task_arn);
        if !compute.iter().any(|place| name.starts_with(place)) {
            let places = compute.join(", ");
            return Err(Wrong::differs(format!("{role} ran as {name}, and not at {places}")));
        }
        if bare(&task.image_digest) != bare(image) {
            let found = &task.image_digest;
            let what =
                format!("{role} ran from the image {found}, and the run is pinned to {image}");
            return Err(Wrong::differs(what));
        }
        if !names.insert(name.as_str()) {
            return Err(Wrong::differs(format!("{name} is the task of two, one of them {role}")));
        }
    }
    if !tasks.iter().any(Task::is_job) {
        return Err(Wrong::empty("no job is recorded, as if none had run"));
    }
    let services = services(evidence.needed(Form::DaemonsReady)?, tasks)?;
    let gate = evidence.needed(Form::IgReady)?;
    let asked = gate.text("/task_arn");
    if !tasks.iter().any(|task| !task.is_job() && task.task_arn == asked) {
        return gate.differs(format!("asked the task {asked}, which is no recorded service"));
    }
    Ok(u64::try_from(tasks.len()).unwrap_or(u64::MAX).saturating_add(services).saturating_add(1))
}

/// Each service is recorded, as the task that it is said to be.
fn services(ready: Says<'_>, tasks: &[Task]) -> Result<u64, Wrong> {
    let mut compared = 0;
    for row in ready.list("/services") {
        let service = row.get("service_name").and_then(Value::as_str).unwrap_or_default();
        let arns = row.get("task_arns").and_then(Value::as_array);
        for arn in arns.into_iter().flatten().filter_map(Value::as_str) {
            let its = |task: &&Task| task.role == service && task.task_arn == arn;
            if !tasks.iter().filter(its).any(|task| !task.is_job()) {
                return ready.differs(format!("has {service} as {arn}, which is not recorded"));
            }
            compared += 1;
        }
    }
    Ok(compared)
}
