//! `ecs.task`. The cluster is asked under a token, by which it starts a task once, and under a key, by
//! which the task is found again: by both, a crash between does not start a second one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use carnet_connect::{
    Aws, AwsChange, AwsJob, AwsJobTask, AwsNetwork, AwsOverride, AwsPlace, StoreError,
};
use carnet_ledger::{Digest, Object, Value};
use carnet_model::Code;
use carnet_model::capability::{EcsOverride, EcsTask};

use super::command::RUN_SCOPE;
use super::ecs_service::{LIMIT, Pause};
use super::{Act, Capability, Probed, unknown};
use crate::error::StepError;
use crate::step::{Done, integer_of, number, text_of};

const DEFINITION: &str = "definition";
const ESSENTIAL: &str = "essential";
const LOOKED_AT: &str = "looked_at_s";

/// For how long the cluster remembers a task that has ended, and its token: an hour at least.
const REMEMBERED_S: i64 = 3_600;

/// The word of the cluster for a task that nobody has stopped.
const ENDED_BY_ITSELF: &str = "EssentialContainerExited";

const LOOK: &str = "look whether the task did its work, and settle the step";

pub(super) struct Run;

/// How a task ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// As it must.
    Well,
    /// Otherwise, in words.
    Badly(String),
    /// Nobody tells, in words.
    Untold(String),
}

/// What a task that has stopped did, by what the cluster tells of its containers.
fn end(task: &AwsJobTask, essential: &[String], image: Option<&str>) -> End {
    let because = |reason: Option<&String>| {
        let said = [reason, task.stop_code.as_ref(), task.stopped.as_ref()].into_iter().flatten();
        said.fold(String::new(), |all, reason| format!("{all}; {reason}"))
    };
    let find = |name: &String| task.containers.iter().find(|it| it.name == *name);
    let told = |name| find(name).and_then(|it| it.exit_code);
    if let Some((name, code)) =
        essential.iter().find_map(|name| Some((name, told(name).filter(|code| *code != 0)?)))
    {
        let because = because(find(name).and_then(|it| it.reason.as_ref()));
        return End::Badly(format!("the container {name} ended with status {code}{because}"));
    }
    if let Some(name) = essential.iter().find(|name| told(name).is_none()) {
        let because = because(find(name).and_then(|it| it.reason.as_ref()));
        return End::Untold(format!("nobody tells how the container {name} ended{because}"));
    }
    // A container that is stopped may end with 0 in the middle of its work.
    match task.stop_code.as_deref() {
        Some(ENDED_BY_ITSELF) => {}
        Some(_) => return End::Badly(format!("the task was stopped{}", because(None))),
        None => {
            return End::Untold(format!("nobody tells what the task stopped for{}", because(None)));
        }
    }
    let Some(image) = image else { return End::Well };
    for name in essential {
        match find(name).and_then(|it| it.image.as_deref()) {
            Some(ran) if ran == image => {}
            Some(ran) => {
                return End::Badly(format!("the container {name} ran another image: {ran}"));
            }
            None => {
                return End::Untold(format!("nobody tells which image the container {name} ran"));
            }
        }
    }
    End::Well
}

/// One use: the task as it is asked for.
struct Use {
    asked: EcsTask,
    aws: Box<dyn Aws>,
    /// By which a task is started once, and found again.
    token: String,
}

/// What a look before has found.
struct Found {
    definition: String,
    essential: Vec<String>,
    looked_at_s: i64,
}

impl Found {
    fn of(inputs: &Object) -> Result<Self, StepError> {
        let looked = || StepError::new(Code::BUG, "nobody looked at the definition before");
        let Some(Value::List(names)) = inputs.get(ESSENTIAL) else { return Err(looked()) };
        let name = |it: &Value| match it {
            Value::Text(name) => Ok(name.clone()),
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::List(_)
            | Value::Object(_) => Err(looked()),
        };
        Ok(Self {
            definition: text_of(inputs, DEFINITION).ok_or_else(looked)?,
            essential: names.iter().map(name).collect::<Result<_, _>>()?,
            looked_at_s: integer_of(inputs, LOOKED_AT).ok_or_else(looked)?,
        })
    }
}

impl Use {
    fn of(act: &Act<'_>) -> Result<Self, StepError> {
        let asked: EcsTask = act.inputs()?;
        let (endpoint, region) = (asked.endpoint.clone(), asked.region.clone());
        let aws = act.cx.outside.aws(&AwsPlace { endpoint, region, limit: LIMIT })?;
        Ok(Self { asked, aws, token: Digest::of(act.key.as_bytes()).to_string() })
    }

    /// ECS takes 64 characters of a token, and has taken 36 of this.
    fn started_by(&self) -> String {
        format!("carnet-{}", self.token.get(..24).unwrap_or_default())
    }

    /// The task as it is sent. In a programme the run that it belongs to is part of it, whatever the
    /// plan says.
    fn job(&self, act: &Act<'_>, found: &Found) -> AwsJob {
        let said = |it: &EcsOverride| AwsOverride {
            command: it.command.clone(),
            environment: it.environment.clone(),
        };
        let mut overrides: BTreeMap<String, AwsOverride> =
            self.asked.overrides.iter().map(|(name, it)| (name.clone(), said(it))).collect();
        if let Some(programme) = act.cx.plan.programme() {
            for name in &found.essential {
                let environment = &mut overrides.entry(name.clone()).or_default().environment;
                environment.insert(RUN_SCOPE.to_owned(), programme.run.platform_run_id.clone());
            }
        }
        AwsJob {
            cluster: self.asked.cluster.clone(),
            definition: found.definition.clone(),
            launch_type: self.asked.launch_type.word().to_owned(),
            network: self.asked.network.as_ref().map(|it| AwsNetwork {
                subnets: it.subnets.clone(),
                security_groups: it.security_groups.clone(),
                public_ip: it.assign_public_ip,
            }),
            overrides,
            token: self.token.clone(),
            started_by: self.started_by(),
        }
    }

    /// The task that was started under this key, if the cluster knows one.
    fn started(&self) -> Result<Option<AwsJobTask>, StepError> {
        let EcsTask { cluster, task_definition, .. } = &self.asked;
        let family = task_definition.split(':').next().unwrap_or_default();
        let mut tasks = self.aws.job_tasks(cluster, family, &self.started_by())?;
        match tasks.len() {
            0 | 1 => Ok(tasks.pop()),
            count => {
                let what = format!("{count} tasks run under the key of one");
                Err(unknown(what, "see who started them, and settle the step"))
            }
        }
    }

    fn start(&self, act: &Act<'_>, found: &Found) -> Result<AwsJobTask, StepError> {
        match self.aws.run_task(&self.job(act, found)) {
            Ok(AwsChange::Taken(task)) => Ok(task),
            Ok(AwsChange::Refused(error)) => Err(error.into()),
            Err(error) if is_final(&error) => Err(error.into()),
            Err(error) => {
                let told = StepError::from(error).told();
                Err(unknown(format!("nobody knows whether the task was started: {told}"), LOOK))
            }
        }
    }

    /// Waits until the task has stopped. It is asked for: the answer to its start tells nothing of its
    /// end. `Err` says why nobody tells that it has: the task runs, so no error counts as a failure
    /// of its own.
    fn stopped(&self, address: &str) -> Result<AwsJobTask, String> {
        let deadline = Instant::now() + Duration::from_secs(self.asked.limit_s.into());
        let mut pause = Pause::new();
        loop {
            let mut not_told = String::new();
            match self.aws.job_task(&self.asked.cluster, address) {
                Ok(Some(task)) if task.status == "STOPPED" => return Ok(task),
                // One that was started a moment ago may not be known everywhere yet.
                Ok(Some(_) | None) => {}
                Err(error) => {
                    let is_final = is_final(&error);
                    not_told = format!(": {}", StepError::from(error).told());
                    if is_final {
                        return Err(format!("nobody tells how the task ends{not_told}"));
                    }
                }
            }
            if !pause.sleep_before(deadline) {
                let limit_s = self.asked.limit_s;
                return Err(format!("the task has not ended after {limit_s} s{not_told}"));
            }
        }
    }

    /// How the task ended, once it has.
    fn ended(&self, task: &AwsJobTask, found: &Found) -> (End, Done) {
        let done = Done::default().fact("task", task.address.clone());
        let task = match self.stopped(&task.address) {
            Ok(task) => task,
            Err(why) => return (End::Untold(why), done),
        };
        let end = end(&task, &found.essential, self.asked.image.as_deref());
        let ran =
            task.containers.iter().filter_map(|it| Some((it.name.clone(), it.image.clone()?)));
        let ran: Object = ran.map(|(name, image)| (name, image.into())).collect();
        (end, done.fact("definition", found.definition.clone()).fact("images", ran))
    }
}

/// Whether asking again changes nothing, and asking has changed nothing: the cluster let nobody in, or
/// was never asked.
pub(super) fn is_final(error: &StoreError) -> bool {
    [Code::STORE_DENIED, Code::STORE_URL].contains(&error.code())
}

impl Capability for Run {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let using = Use::of(act)?;
        let name = &using.asked.task_definition;
        let definition = using.aws.definition(name)?;
        let is_there = |name: &String| definition.containers.iter().any(|it| it.name == *name);
        if let Some(missing) = using.asked.overrides.keys().find(|name| !is_there(name)) {
            let what = format!("{name} has no container {missing}");
            return Err(StepError::new(Code::STORE_NOT_FOUND, what)
                .remedy("correct `overrides`, or register another definition"));
        }
        let essential = definition.containers.iter().filter(|it| it.essential);
        let essential: Vec<Value> = essential.map(|it| it.name.clone().into()).collect();
        if essential.is_empty() {
            let what = format!("no container of {name} is essential: nobody would tell its end");
            return Err(StepError::new(Code::STORE_UNSUPPORTED, what)
                .remedy("mark the one that does the work as essential"));
        }
        let now_s = u64::try_from(act.cx.now_us() / 1_000_000).unwrap_or(0);
        Ok(Object::from([
            (DEFINITION.to_owned(), definition.address.into()),
            (ESSENTIAL.to_owned(), essential.into()),
            (LOOKED_AT.to_owned(), number(now_s)),
        ]))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let (using, found) = (Use::of(act)?, Found::of(inputs)?);
        let task = match using.started()? {
            Some(task) => task,
            None => using.start(act, &found)?,
        };
        act.pass("ecs/started")?;
        match using.ended(&task, &found) {
            (End::Well, done) => Ok(done),
            (End::Badly(why), _) => Err(StepError::new(Code::COMMAND_FAILED, why)
                .remedy("see the log of the task, and run the plan again")),
            (End::Untold(why), _) => Err(unknown(why, LOOK)),
        }
    }

    fn probe(&self, act: &Act<'_>, inputs: &Object) -> Result<Probed, StepError> {
        let (using, found) = (Use::of(act)?, Found::of(inputs)?);
        let Some(task) = using.started()? else {
            let age_s = act.cx.now_us() / 1_000_000 - found.looked_at_s;
            let forgotten = "if there was a task, the cluster has forgotten it by now";
            // An undo that is gone on with has looked again just now: when it began is not told.
            let is_known = act.takes_back.is_none() && (0..REMEMBERED_S).contains(&age_s);
            return Ok(if is_known {
                Probed::NotApplied
            } else {
                Probed::Unknown(forgotten.to_owned())
            });
        };
        Ok(match using.ended(&task, &found) {
            (End::Well, done) => Probed::Applied(done),
            (End::Badly(_), _) => Probed::Begun,
            (End::Untold(why), _) => Probed::Unknown(why),
        })
    }

    fn undo(&self, _: &Act<'_>, _: &Object) -> Result<Vec<String>, StepError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use carnet_connect::AwsEnded;

    use super::*;

    const IMAGE: &str = "sha256:ab";

    fn container(name: &str, exit_code: Option<i64>, image: Option<&str>) -> AwsEnded {
        let (name, image) = (name.to_owned(), image.map(str::to_owned));
        AwsEnded { name, exit_code, image, reason: Some("OutOfMemoryError".to_owned()) }
    }

    fn ended(containers: Vec<AwsEnded>, image: Option<&str>) -> End {
        stopped(ENDED_BY_ITSELF, containers, image)
    }

    fn stopped(code: &str, containers: Vec<AwsEnded>, image: Option<&str>) -> End {
        let task = AwsJobTask {
            address: "a".to_owned(),
            started_by: None,
            status: "STOPPED".to_owned(),
            stop_code: Some(code.to_owned()).filter(|it| !it.is_empty()),
            stopped: None,
            containers,
        };
        end(&task, &["job".to_owned(), "aide".to_owned()], image)
    }

    #[test]
    fn a_task_has_done_its_work_only_if_every_essential_container_says_so() {
        let well =
            |image| vec![container("job", Some(0), image), container("aide", Some(0), image)];
        assert_eq!(ended(well(None), None), End::Well);
        assert_eq!(ended(well(Some(IMAGE)), Some(IMAGE)), End::Well);
        // What is not essential may end as it likes.
        let mut more = well(None);
        more.push(container("log", Some(137), None));
        assert_eq!(ended(more, None), End::Well);
        let badly = vec![container("job", Some(3), None), container("aide", None, None)];
        let why =
            "the container job ended with status 3; OutOfMemoryError; EssentialContainerExited";
        assert_eq!(ended(badly, None), End::Badly(why.to_owned()));
        for untold in [
            vec![container("job", Some(0), None), container("aide", None, None)],
            vec![container("job", None, None), container("aide", Some(0), None)],
            vec![container("job", Some(0), None)],
            Vec::new(),
        ] {
            assert!(matches!(ended(untold, None), End::Untold(_)));
        }
    }

    #[test]
    fn a_task_that_was_stopped_has_not_done_its_work_whatever_its_containers_say() {
        let well = || vec![container("job", Some(0), None), container("aide", Some(0), None)];
        for code in ["SpotInterruption", "UserInitiated", "TerminationNotice", "another"] {
            assert_eq!(
                stopped(code, well(), None),
                End::Badly(format!("the task was stopped; {code}"))
            );
        }
        assert!(matches!(stopped("", well(), None), End::Untold(_)));
    }

    #[test]
    fn a_task_that_ran_another_image_has_not_done_its_work() {
        let ran =
            |image| vec![container("job", Some(0), Some(IMAGE)), container("aide", Some(0), image)];
        assert!(matches!(ended(ran(Some("sha256:cd")), Some(IMAGE)), End::Badly(_)));
        assert!(matches!(ended(ran(None), Some(IMAGE)), End::Untold(_)));
        assert_eq!(ended(ran(Some("sha256:cd")), None), End::Well);
    }
}
