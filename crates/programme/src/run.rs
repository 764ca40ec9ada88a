//! The ids of a run, and what belongs to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::fault::Fault;
use crate::form::Form;
use crate::moment;

/// By how many seconds clocks may differ, when nothing is said.
pub const CLOCK_SKEW_S: u32 = 5;

/// The ids of a run: what stands for the tokens of paths, and what its evidence must say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The run: `platform_20260101T000000Z`. It begins at this time.
    #[schemars(regex(pattern = "^platform_[0-9]{8}T[0-9]{6}Z$"))]
    pub platform_run_id: String,
    /// The scenario: 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{32}$"))]
    pub scenario_run_id: Option<String>,
    /// What stands for `{output_id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_id: Option<String>,
    /// What stands for `{phase_id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_id: Option<String>,
    /// What stands for `{oracle_source_namespace}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oracle_source_namespace: Option<String>,
    /// What stands for `{oracle_engine_run_id}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oracle_engine_run_id: Option<String>,
}

/// When something may have been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// When it is looked at, in microseconds since 1970, UTC.
    pub now_us: i64,
    /// By how many seconds clocks may differ.
    pub skew_s: u32,
}

impl Run {
    /// What stands for a token.
    pub(crate) fn value(&self, token: &str) -> Option<&str> {
        match token {
            "platform_run_id" => Some(&self.platform_run_id),
            "scenario_run_id" => self.scenario_run_id.as_deref(),
            "output_id" => self.output_id.as_deref(),
            "phase_id" => self.phase_id.as_deref(),
            "oracle_source_namespace" => self.oracle_source_namespace.as_deref(),
            "oracle_engine_run_id" => self.oracle_engine_run_id.as_deref(),
            _ => None,
        }
    }

    /// When the run began, in microseconds since 1970; `None` if its id has no such time.
    pub fn began_us(&self) -> Option<i64> {
        moment::of_run_id(&self.platform_run_id)
    }

    /// Whether a file, or a line, is one of this run, and was written while it went on.
    pub fn owns(&self, form: Form, value: &Value, when: When) -> Result<(), Fault> {
        self.has_ids(value)?;
        if form == Form::RunReport {
            let scenarios = value.get("scenario_run_ids").and_then(Value::as_array);
            for found in scenarios.into_iter().flatten() {
                self.same("scenario_run_ids", found, self.scenario_run_id.as_deref())?;
            }
        }
        if form == Form::DaemonsReady
            && let Some(found) = value.pointer("/run_scope/value")
        {
            self.same("run_scope/value", found, Some(&self.platform_run_id))?;
        }
        self.has_times(form, value, when)
    }

    fn has_ids(&self, value: &Value) -> Result<(), Fault> {
        let ids = [
            ("platform_run_id", Some(self.platform_run_id.as_str())),
            ("scenario_run_id", self.scenario_run_id.as_deref()),
        ];
        for (key, must) in ids {
            if let Some(found) = value.get(key) {
                self.same(key, found, must)?;
            }
        }
        Ok(())
    }

    #[expect(clippy::unused_self, reason = "it reads as a question to the run")]
    fn same(&self, key: &str, found: &Value, must: Option<&str>) -> Result<(), Fault> {
        match must {
            Some(must) if found.as_str() != Some(must) => Err(Fault::OtherRun {
                key: key.to_owned(),
                found: found.as_str().unwrap_or_default().to_owned(),
                must: must.to_owned(),
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn has_times(&self, form: Form, value: &Value, when: When) -> Result<(), Fault> {
        let mut times: Vec<(&str, &Value)> = Vec::new();
        for key in form.time_key().into_iter().chain(["started_at_utc", "ended_at_utc"]) {
            times.extend(value.get(key).map(|found| (key, found)));
        }
        let partitions = value.get("partitions").and_then(Value::as_array);
        for row in partitions.into_iter().flatten() {
            times.extend(row.get("timestamp_utc").map(|found| ("timestamp_utc", found)));
        }
        for (key, found) in times {
            self.has_time(form, key, found.as_str().unwrap_or_default(), when)?;
        }
        Ok(())
    }

    fn has_time(&self, form: Form, key: &str, found: &str, when: When) -> Result<(), Fault> {
        let skew_us = i64::from(when.skew_s) * 1_000_000;
        let Some(at_us) = moment::micros(found) else {
            let (at, what) = (format!("/{key}"), "it is no moment of the calendar".to_owned());
            return Err(Fault::WrongValue { at, what });
        };
        let (key, found) = (key.to_owned(), found.to_owned());
        if at_us > when.now_us.saturating_add(skew_us) {
            let clock = moment::shown(when.now_us);
            return Err(Fault::InFuture { key, found, now: clock, skew_s: when.skew_s });
        }
        let began_us = self.began_us().filter(|_| form.is_of_run());
        match began_us.filter(|began| at_us < began.saturating_sub(skew_us)) {
            Some(began) => Err(Fault::BeforeRun { key, found, began: moment::shown(began) }),
            None => Ok(()),
        }
    }
}
