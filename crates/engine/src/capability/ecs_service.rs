//! `ecs.service`. The cluster tells what a service is set to, so what was before, what is ours and what
//! somebody else has set since can be told apart.

use std::time::{Duration, Instant};

use carnet_connect::{Aws, AwsChange, AwsPlace, AwsServing};
use carnet_ledger::Object;
use carnet_model::Code;
use carnet_model::capability::{EcsService, EcsWait};

use super::ecs_task::is_final;
use super::{Act, Capability, Probed, unknown};
use crate::error::StepError;
use crate::step::{Done, integer_of, number, text_of};

/// How long the cluster may take for one answer.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// For how long the cluster may tell what was before a change that it has taken.
const SETTLES: Duration = Duration::from_secs(10);

/// What the service was set to before, and what it is to be set to.
const DEFINITION_BEFORE: &str = "definition_before";
const DESIRED_BEFORE: &str = "desired_before";
const DEFINITION: &str = "definition";

pub(super) struct Set;

/// What a service is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    definition: String,
    desired: i64,
}

impl Setting {
    fn of(now: &AwsServing) -> Self {
        Self { definition: now.definition.clone(), desired: now.desired }
    }
}

/// How a service stands to what is wanted.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// It is set so, and the cluster is done with it.
    Steady,
    /// It is set so, and the cluster is on its way; how far, in words.
    OnItsWay(String),
    /// It is as it was before.
    Before,
    /// One of the two is as before: the cluster puts a deployment back that does not come up.
    Half,
    /// Somebody else has set it.
    Others,
    /// The cluster has given up.
    Failed,
}

/// A change from one setting to another.
struct Change {
    before: Setting,
    wanted: Setting,
}

impl Change {
    fn standing(&self, now: &AwsServing) -> Standing {
        let Self { before, wanted } = self;
        let set = Setting::of(now);
        if set != *wanted {
            let ours = [before, wanted];
            let is_ours = ours.iter().any(|it| it.definition == set.definition)
                && ours.iter().any(|it| it.desired == set.desired);
            return match is_ours {
                true if set == *before => Standing::Before,
                true => Standing::Half,
                false => Standing::Others,
            };
        }
        let AwsServing { running, pending, deployments, .. } = now;
        let rollout = now.rollout.as_deref();
        if rollout == Some("FAILED") {
            return Standing::Failed;
        }
        let is_done = matches!(rollout, None | Some("COMPLETED"));
        if is_done && *deployments == 1 && *running == wanted.desired && *pending == 0 {
            return Standing::Steady;
        }
        let desired = wanted.desired;
        Standing::OnItsWay(format!(
            "{running} of {desired} tasks run, {pending} are on their way, in {deployments} deployments"
        ))
    }
}

/// One use: the service, and what it is to be.
struct Use {
    asked: EcsService,
    aws: Box<dyn Aws>,
}

impl Use {
    fn of(act: &Act<'_>) -> Result<Self, StepError> {
        let asked: EcsService = act.inputs()?;
        let (endpoint, region) = (asked.endpoint.clone(), asked.region.clone());
        let aws = act.cx.outside.aws(&AwsPlace { endpoint, region, limit: LIMIT })?;
        Ok(Self { asked, aws })
    }

    fn now(&self) -> Result<AwsServing, StepError> {
        let EcsService { cluster, service, .. } = &self.asked;
        self.aws.service(cluster, service)?.ok_or_else(|| {
            let what = format!("there is no service {service} in {cluster}");
            StepError::new(Code::STORE_NOT_FOUND, what).remedy("make it first, or correct the name")
        })
    }

    fn change(&self, inputs: &Object) -> Result<Change, StepError> {
        let looked = || StepError::new(Code::BUG, "nobody looked at the service before");
        let text = |key: &str| text_of(inputs, key).ok_or_else(looked);
        let desired = integer_of(inputs, DESIRED_BEFORE).ok_or_else(looked)?;
        Ok(Change {
            before: Setting { definition: text(DEFINITION_BEFORE)?, desired },
            wanted: Setting {
                definition: text(DEFINITION)?,
                desired: self.asked.desired_count.into(),
            },
        })
    }

    /// Sets the service, and gives when the cluster took it. An error says that nobody knows.
    fn set(&self, to: &Setting) -> Result<AwsChange<Instant>, StepError> {
        let EcsService { cluster, service, .. } = &self.asked;
        let desired = u32::try_from(to.desired).map_err(|_| {
            StepError::new(Code::STORE_MALFORMED, "the cluster told a count below zero")
        })?;
        match self.aws.set_service(cluster, service, &to.definition, desired) {
            Ok(AwsChange::Taken(())) => Ok(AwsChange::Taken(Instant::now())),
            Ok(AwsChange::Refused(error)) => Ok(AwsChange::Refused(error)),
            Err(error) if is_final(&error) => Ok(AwsChange::Refused(error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Sets the service to what it was before.
    fn set_back(&self, to: &Setting) -> Result<Instant, StepError> {
        match self.set(to)? {
            AwsChange::Taken(set_at) => Ok(set_at),
            AwsChange::Refused(error) => Err(error.into()),
        }
    }

    /// Waits as far as the plan says. `Err` says why it does not come, in words.
    fn wait(
        &self,
        change: &Change,
        set_at: Option<Instant>,
    ) -> Result<Result<AwsServing, String>, StepError> {
        let deadline = Instant::now() + Duration::from_secs(self.asked.limit_s.into());
        let (service, limit) = (&self.asked.service, self.asked.limit_s);
        let mut pause = Pause::new();
        loop {
            let now = self.now()?;
            let settles = set_at.is_some_and(|it| it.elapsed() < SETTLES);
            let on_its_way = match change.standing(&now) {
                Standing::Steady => return Ok(Ok(now)),
                Standing::OnItsWay(_) if self.asked.wait == EcsWait::Accepted => {
                    return Ok(Ok(now));
                }
                Standing::OnItsWay(how_far) => how_far,
                Standing::Before | Standing::Half if settles => "it is told as it was".to_owned(),
                Standing::Failed => {
                    return Ok(Err(format!("the cluster has given up on {service}")));
                }
                Standing::Before | Standing::Half | Standing::Others => {
                    return Ok(Err(format!("{service} was set to something else in the meantime")));
                }
            };
            if !pause.sleep_before(deadline) {
                return Ok(Err(format!("{service} is not steady after {limit} s: {on_its_way}")));
            }
        }
    }

    /// Sets it, and waits. If that fails, `may_be_set` says whether something of it may be set.
    fn bring(
        &self,
        act: &Act<'_>,
        change: &Change,
        may_be_set: &mut bool,
    ) -> Result<Done, StepError> {
        *may_be_set = true;
        let standing = change.standing(&self.now()?);
        *may_be_set = !matches!(standing, Standing::Before | Standing::Others);
        let mut set_at = None;
        match standing {
            Standing::Others => {
                let error = StepError::new(Code::OBJECT_CHANGED, self.changed());
                return Err(error.remedy("see who sets it, and run the plan again"));
            }
            Standing::Before | Standing::Half => {
                match self.set(&change.wanted) {
                    Ok(AwsChange::Refused(error)) => return Err(error.into()),
                    Ok(AwsChange::Taken(at)) => set_at = Some(at),
                    Err(error) => {
                        *may_be_set = true;
                        return Err(error);
                    }
                }
                *may_be_set = true;
                act.pass("ecs/set")?;
            }
            Standing::Steady | Standing::OnItsWay(_) | Standing::Failed => {}
        }
        self.wait(change, set_at)?.map(|now| done(&now)).map_err(failed)
    }

    /// Sets it back after a failure, so that nothing of it is left, whoever tries again. Gives the
    /// failure, or that nobody knows what the service is set to.
    fn give_back(&self, act: &Act<'_>, change: Change, failure: StepError) -> StepError {
        let Change { before, wanted } = change;
        let back = Change { before: wanted, wanted: before };
        let given_back = || -> Result<String, StepError> {
            act.cx.recorder.check_lease()?;
            if back.standing(&self.now()?) == Standing::Others {
                return Ok(self.changed());
            }
            let set_at = self.set_back(&back.wanted)?;
            act.pass("ecs/given_back")?;
            // Whoever looks next must not be told what was set in between.
            let mut pause = Pause::new();
            while Setting::of(&self.now()?) != back.wanted {
                if !pause.sleep_before(set_at + SETTLES) {
                    return Err(failed("it does not tell that it is set back".to_owned()));
                }
            }
            Ok("it is set back to what it was before".to_owned())
        };
        match given_back() {
            Ok(what) => {
                let what = format!("{}; {what}", failure.told());
                StepError::new(failure.code, what).remedy(failure.remedy.unwrap_or_default())
            }
            // Another process has the run now, and goes on with it.
            Err(error) if error.code == Code::RUN_FENCED => error,
            Err(error) => {
                let Setting { definition, desired } = &back.wanted;
                let (why, but) = (failure.told(), error.told());
                let remedy = format!("set it to {definition} with {desired} tasks, and settle it");
                unknown(format!("{why}; and it could not be set back: {but}"), &remedy)
            }
        }
    }

    fn changed(&self) -> String {
        format!("the service {} was set by somebody else", self.asked.service)
    }
}

/// The pauses between two looks: short first, then longer.
pub(super) struct Pause(Duration);

impl Pause {
    pub(super) const fn new() -> Self {
        Self(Duration::from_millis(200))
    }

    /// Sleeps; `false` if the time is over.
    pub(super) fn sleep_before(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        std::thread::sleep(self.0.min(left));
        self.0 = (self.0 * 2).min(Duration::from_secs(5));
        !left.is_zero()
    }
}

fn done(now: &AwsServing) -> Done {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    Done::default()
        .fact("definition", now.definition.clone())
        .count("desired", count(now.desired))
        .count("running", count(now.running))
        .count("deployments", now.deployments)
}

fn failed(what: String) -> StepError {
    StepError::new(Code::SERVICE_FAILED, what).remedy("see the events of the service in ECS")
}

impl Capability for Set {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let using = Use::of(act)?;
        let (now, service) = (using.now()?, &using.asked.service);
        if now.status != "ACTIVE" {
            return Err(failed(format!("the service {service} is {}", now.status)));
        }
        if now.deployments == 0 {
            let what = format!("something else than ECS brings the deployments of {service}");
            return Err(StepError::new(Code::STORE_UNSUPPORTED, what)
                .remedy("let that do it, with `command.run` or `http.request`"));
        }
        // One that is not there is refused before anything is changed.
        let definition = match &using.asked.task_definition {
            Some(name) => using.aws.definition(name)?.address,
            None => now.definition.clone(),
        };
        let desired = u64::try_from(now.desired).unwrap_or(0);
        Ok(Object::from([
            (DEFINITION_BEFORE.to_owned(), now.definition.into()),
            (DESIRED_BEFORE.to_owned(), number(desired)),
            (DEFINITION.to_owned(), definition.into()),
        ]))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let using = Use::of(act)?;
        let change = using.change(inputs)?;
        let mut may_be_set = false;
        using.bring(act, &change, &mut may_be_set).map_err(|failure| {
            let gives_back = may_be_set && !act.cx.faults.crashed();
            if gives_back { using.give_back(act, change, failure) } else { failure }
        })
    }

    fn probe(&self, act: &Act<'_>, inputs: &Object) -> Result<Probed, StepError> {
        let using = Use::of(act)?;
        let now = using.now()?;
        Ok(match using.change(inputs)?.standing(&now) {
            Standing::Steady => Probed::Applied(done(&now)),
            Standing::OnItsWay(_) if using.asked.wait == EcsWait::Accepted => {
                Probed::Applied(done(&now))
            }
            Standing::OnItsWay(_) | Standing::Failed | Standing::Half if act.goes_back() => {
                Probed::Applied(done(&now))
            }
            Standing::OnItsWay(_) | Standing::Failed | Standing::Half | Standing::Before => {
                Probed::Begun
            }
            Standing::Others => Probed::Unknown(using.changed()),
        })
    }

    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        let using = Use::of(act)?;
        let Change { before, wanted } = using.change(inputs)?;
        let back = Change { before: wanted, wanted: before };
        let mut set_at = None;
        match back.standing(&using.now()?) {
            Standing::Others => return Ok(vec![using.changed()]),
            Standing::Before | Standing::Half => {
                set_at = Some(using.set_back(&back.wanted)?);
                act.pass("ecs/returned")?;
            }
            Standing::Steady | Standing::OnItsWay(_) | Standing::Failed => {}
        }
        // It is set as it was; that the tasks are late is said, and no reason to do it again.
        Ok(using.wait(&back, set_at)?.err().into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(definition: &str, desired: i64) -> AwsServing {
        AwsServing {
            status: "ACTIVE".to_owned(),
            definition: definition.to_owned(),
            desired,
            running: desired,
            pending: 0,
            deployments: 1,
            rollout: Some("COMPLETED".to_owned()),
        }
    }

    fn change() -> Change {
        let setting =
            |definition: &str, desired| Setting { definition: definition.to_owned(), desired };
        Change { before: setting("a:1", 1), wanted: setting("a:2", 3) }
    }

    #[test]
    fn a_service_is_steady_only_when_all_of_it_is() {
        let steady = now("a:2", 3);
        assert_eq!(change().standing(&steady), Standing::Steady);
        assert_eq!(
            change().standing(&AwsServing { rollout: None, ..steady.clone() }),
            Standing::Steady
        );
        let rollout = Some("IN_PROGRESS".to_owned());
        for on_its_way in [
            AwsServing { running: 2, ..steady.clone() },
            AwsServing { running: 4, ..steady.clone() },
            AwsServing { pending: 1, ..steady.clone() },
            AwsServing { deployments: 2, ..steady.clone() },
            AwsServing { deployments: 0, ..steady.clone() },
            AwsServing { rollout, ..steady.clone() },
        ] {
            let standing = change().standing(&on_its_way);
            assert!(matches!(standing, Standing::OnItsWay(_)), "{on_its_way:?}: {standing:?}");
        }
        let rollout = Some("FAILED".to_owned());
        assert_eq!(change().standing(&AwsServing { rollout, ..steady }), Standing::Failed);
    }

    #[test]
    fn what_others_have_set_is_theirs() {
        assert_eq!(change().standing(&now("a:1", 1)), Standing::Before);
        // The cluster has put a deployment that failed back, or one of two changes was made.
        assert_eq!(change().standing(&now("a:1", 3)), Standing::Half);
        assert_eq!(change().standing(&now("a:2", 1)), Standing::Half);
        for (definition, desired) in [("a:3", 3), ("a:2", 2), ("a:1", 0), ("b:1", 1)] {
            assert_eq!(change().standing(&now(definition, desired)), Standing::Others);
        }
    }
}
