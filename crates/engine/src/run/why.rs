//! Why a gate is as it is: what was demanded, what was seen, and what would have failed it. From the
//! log and the plan alone; nothing is looked at again.

use carnet_ledger::{Digest, Event, EventTime};
use carnet_model::gate::{self, Observation, Verdict};
use carnet_model::plan::Plan;
use schemars::JsonSchema;
use serde::Serialize;

use super::recorder::fold;
use crate::error::EngineError;
use carnet_journal::{LogPlace, LogReader};
use carnet_process::{Fact, GateVerdict, State, read_fact};

/// What is known of a gate.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(title = "carnet why --json")]
pub struct Why {
    /// Its name in the process.
    pub gate: String,
    /// The digest of the plan.
    #[schemars(with = "String")]
    pub plan: Digest,
    /// The run; absent if there is none yet.
    pub run: Option<String>,
    /// What it demands, with its thresholds.
    #[schemars(with = "serde_json::Value")]
    pub definition: gate::Definition,
    /// The digest of that.
    #[schemars(with = "String")]
    pub definition_digest: Digest,
    /// The same in words.
    pub demands: String,
    /// The last verdict: absent while nobody has asked the gate.
    pub verdict: Option<String>,
    /// Whether it is open.
    pub open: bool,
    /// Why, in words.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
    /// The exception of the plan that opens it although it did not pass.
    pub exception: Option<String>,
    /// The event that holds the verdict.
    pub event: Option<u64>,
    /// When it was judged.
    pub judged_at: Option<String>,
    /// How old the observation was when it was judged, in milliseconds.
    pub age_ms: Option<i64>,
    /// What was seen, as it was recorded.
    pub observation: Option<serde_json::Value>,
    /// Copies of the observation with damage, and what the gate says to each.
    pub damage: Vec<DamagedCopy>,
    /// Damaged copies that were judged at the time, those made from the content itself among them.
    pub damaged: u64,
    /// How many of these were refused.
    pub refused: u64,
    /// How often the gate was judged in this run.
    pub times: u64,
}

/// One damaged copy.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DamagedCopy {
    /// What was done to it.
    pub name: &'static str,
    /// Whether the gate refuses it; one that it passes shows that the gate is broken.
    pub refused: bool,
    /// What it says to it.
    pub reason: String,
}

/// What a log says of a gate of its last run; the chain is computed again. The plan must be the one of
/// that run.
pub fn why(
    place: impl Into<LogPlace>,
    plan: &Plan,
    gate: &str,
) -> Result<Option<Why>, EngineError> {
    let found = plan.node(gate).and_then(|(_, node)| node.gate());
    let Some(planned) = found else { return Ok(None) };
    let definition = planned.definition.clone();
    let mut why = Why {
        gate: gate.to_owned(),
        plan: plan.digest(),
        run: None,
        definition_digest: definition.digest(),
        demands: definition.rule.demands(),
        definition,
        verdict: None,
        open: false,
        reason: "the run has not come to it yet".to_owned(),
        remedy: String::new(),
        exception: None,
        event: None,
        judged_at: None,
        age_ms: None,
        observation: None,
        damage: Vec::new(),
        damaged: 0,
        refused: 0,
        times: 0,
    };
    let Some(log) = LogReader::open(place)? else { return Ok(Some(why)) };
    let (mut folded, mut last) = (State::default(), None);
    log.verify(&mut |event: &Event| {
        let object = |digest| log.object(digest).ok();
        match read_fact(event, &object)? {
            Some(Fact::Started { .. }) => (last, why.times) = (None, 0),
            Some(Fact::Judged { gate: judged, verdict }) if judged == gate => {
                last = Some((event.sequence, event.occurred_at, verdict));
                why.times += 1;
            }
            Some(_) | None => {}
        }
        fold(&mut folded, event, &object)
    })?;
    let Some(run) = folded.run else { return Ok(Some(why)) };
    if run.plan != plan.digest() {
        let refused =
            carnet_process::Refused::PlanChanged { started: run.plan, now: plan.digest() };
        return Err(refused.into());
    }
    why.run = Some(run.id.clone());
    why.open = super::notes::is_open(&run, gate);
    if let Some((sequence, at, verdict)) = last {
        why.event = Some(sequence);
        why.judged_at = Some(at.to_string());
        let observation = verdict.observation.and_then(|digest| log.object(digest).ok());
        why.look_back(at, verdict, observation.as_deref());
    }
    Ok(Some(why))
}

impl Why {
    fn look_back(&mut self, at: EventTime, verdict: GateVerdict, observation: Option<&[u8]>) {
        self.verdict = Some(verdict.verdict);
        self.exception = verdict.exception;
        (self.reason, self.remedy) = (verdict.reason, verdict.remedy);
        (self.damaged, self.refused) = (verdict.damaged, verdict.refused);
        let Some(bytes) = observation else { return };
        self.observation = serde_json::from_slice(bytes).ok();
        let Ok(seen) = serde_json::from_slice::<Observation>(bytes) else { return };
        self.age_ms = Some(at.unix_millis() - seen.observed_at_us.div_euclid(1000));
        let at_us = at.unix_millis().saturating_mul(1000);
        let copies = gate::damage(&self.definition, &seen).into_iter();
        self.damage = copies
            .map(|(name, copy)| {
                let said = gate::judge(&self.definition, &copy, at_us);
                DamagedCopy { name, refused: said.verdict != Verdict::Pass, reason: said.reason }
            })
            .collect();
    }
}
