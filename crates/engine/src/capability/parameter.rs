//! `parameter.put`. The service numbers what is put under a name: so what was there before, what is
//! ours, and what somebody else put since can be told apart without keeping a value.

use std::time::Duration;

use carnet_connect::{Aws, AwsParameter, AwsPlace};
use carnet_ledger::Object;
use carnet_model::capability::{ParameterKind, ParameterPut};
use carnet_model::{Code, Secret};

use super::secrets::resolve;
use super::{Act, Capability, Probed, unknown};
use crate::error::StepError;
use crate::step::{Done, integer_of, number};

/// How long the service may take for one answer.
const LIMIT: Duration = Duration::from_secs(30);

/// The number of what was there before; 0 if nothing was.
const BEFORE: &str = "version_before";

pub(super) struct Put;

/// What is to be put, and where.
struct Putting {
    put: ParameterPut,
    value: Secret,
    aws: Box<dyn Aws>,
}

impl Putting {
    fn of(act: &Act<'_>) -> Result<Self, StepError> {
        let put: ParameterPut = act.inputs()?;
        let value = resolve(act.cx.outside, &put.value)?.whole;
        let (endpoint, region) = (put.endpoint.clone(), put.region.clone());
        let aws = act.cx.outside.aws(&AwsPlace { endpoint, region, limit: LIMIT })?;
        Ok(Self { put, value, aws })
    }

    fn now(&self) -> Result<Option<AwsParameter>, StepError> {
        Ok(self.aws.parameter(&self.put.name, None)?)
    }

    /// Whether what is there is what this step puts, as the one that follows on `before`.
    fn is_ours(&self, now: &AwsParameter, before: u64) -> bool {
        now.version == before.saturating_add(1)
            && now.value == self.value
            && now.is_encrypted == self.is_encrypted()
    }

    fn is_encrypted(&self) -> bool {
        self.put.kind == ParameterKind::SecureString
    }

    fn changed(&self) -> String {
        format!("the parameter {} was changed by somebody else", self.put.name)
    }
}

fn before(inputs: &Object) -> Result<u64, StepError> {
    let number = integer_of(inputs, BEFORE).and_then(|it| u64::try_from(it).ok());
    number.ok_or_else(|| StepError::new(Code::BUG, "nobody looked at the parameter before"))
}

fn version(now: Option<&AwsParameter>) -> u64 {
    now.map_or(0, |it| it.version)
}

fn done(version: u64) -> Done {
    Done::default().count("version", version)
}

impl Capability for Put {
    fn prepare(&self, act: &Act<'_>) -> Result<Object, StepError> {
        let putting = Putting::of(act)?;
        let now = putting.now()?;
        if now.is_some() && !putting.put.replace {
            let what = format!("there is a parameter {} already", putting.put.name);
            return Err(StepError::new(Code::OBJECT_EXISTS, what)
                .remedy("name another one, or write `replace: true`"));
        }
        Ok(Object::from([(BEFORE.to_owned(), number(version(now.as_ref())))]))
    }

    fn act(&self, act: &Act<'_>, inputs: &Object) -> Result<Done, StepError> {
        let (putting, before) = (Putting::of(act)?, before(inputs)?);
        let Putting { put, value, aws } = &putting;
        let now = putting.now()?;
        if now.as_ref().is_some_and(|now| putting.is_ours(now, before)) {
            return Ok(done(version(now.as_ref())));
        }
        if version(now.as_ref()) != before {
            let error = StepError::new(Code::OBJECT_CHANGED, putting.changed());
            return Err(error.remedy("see who writes there, and run the plan again"));
        }
        let number = aws.put_parameter(&put.name, value, putting.is_encrypted(), before > 0)?;
        act.pass("parameter/put")?;
        // Nothing keeps another one out between the look and the act: the number tells.
        if number != before.saturating_add(1) {
            let what = format!("somebody else has put {} at the same moment", put.name);
            return Err(unknown(what, "see whose value is to stay, and settle the step"));
        }
        Ok(done(number))
    }

    fn probe(&self, act: &Act<'_>, inputs: &Object) -> Result<Probed, StepError> {
        let (putting, before) = (Putting::of(act)?, before(inputs)?);
        let now = putting.now()?;
        Ok(match &now {
            Some(now) if putting.is_ours(now, before) => Probed::Applied(done(now.version)),
            now if version(now.as_ref()) == before => Probed::NotApplied,
            Some(_) | None => Probed::Unknown(putting.changed()),
        })
    }

    fn undo(&self, act: &Act<'_>, inputs: &Object) -> Result<Vec<String>, StepError> {
        let (putting, before) = (Putting::of(act)?, before(inputs)?);
        let Putting { put, aws, .. } = &putting;
        let now = putting.now()?;
        if version(now.as_ref()) == before {
            return Ok(Vec::new());
        }
        let Some(now) = now else { return Ok(vec![putting.changed()]) };
        let is_ours = putting.is_ours(&now, before);
        if before == 0 {
            if !is_ours {
                return Ok(vec![putting.changed()]);
            }
            aws.delete_parameter(&put.name)?;
            act.pass("parameter/returned")?;
            return Ok(Vec::new());
        }
        let Some(old) = aws.parameter(&put.name, Some(before))? else {
            let gone = format!("the service keeps version {before} of {} no longer", put.name);
            return Ok(vec![gone]);
        };
        if is_ours {
            aws.put_parameter(&put.name, &old.value, old.is_encrypted, true)?;
            act.pass("parameter/returned")?;
            return Ok(Vec::new());
        }
        // An undo that was cut off may have put it back.
        let is_back = now.version == before.saturating_add(2) && now.value == old.value;
        Ok(if is_back { Vec::new() } else { vec![putting.changed()] })
    }
}
