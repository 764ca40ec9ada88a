//! Rego, version 1, by regorus.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use carnet_ledger::HashProfile;
use carnet_model::Code;
use carnet_model::policy::{PolicyAnswer, PolicyFiles, PolicyQuestion, PolicyVerdict};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{Engine, LimitError, Value};

use crate::engine::{PolicyEngine, PolicyFailure};
use crate::reasons::{Judged, judge};
use crate::syntax::Rules;

/// The name and the version of the engine, as evidence has it.
const ENGINE: &str = "regorus 0.14.1";
/// After how many parts of its work an evaluation looks at the clock.
const CLOCK_EVERY: NonZeroU32 = match NonZeroU32::new(64) {
    Some(some) => some,
    None => NonZeroU32::MIN,
};
/// How long compiling may take, in milliseconds: there is no input yet, so this is a constant.
pub(crate) const COMPILE_MS_MAX: u64 = 5_000;

/// Evaluates Rego, version 1, in this process: for rules that are trusted not to be made so as to
/// take all time and memory. For those of others there is [`crate::Apart`]. An error in a builtin is an error, not a missing value: `not f(x)` is
/// never true because `f` failed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rego;

impl PolicyEngine for Rego {
    fn compile(&self, policy: &PolicyFiles) -> Result<(), PolicyFailure> {
        guarded(|| Compiled::of(policy).map(|_| ()))
    }

    fn decide(&self, question: &PolicyQuestion<'_>) -> Result<PolicyAnswer, PolicyFailure> {
        canonical(question)?;
        guarded(|| Self::asked(question, Compiled::of(question.policy)?))
    }
}

impl Rego {
    /// Asks what is compiled.
    pub(crate) fn asked(
        question: &PolicyQuestion<'_>,
        compiled: Compiled,
    ) -> Result<PolicyAnswer, PolicyFailure> {
        let input = canonical(question)?;
        let began = Instant::now();
        let (judged, rules) = compiled.ask(question.policy, &input);
        Ok(answer(question, judged, rules, began.elapsed()))
    }
}

/// The input as it is shown to the rules, if it is not too large.
pub(crate) fn canonical(question: &PolicyQuestion<'_>) -> Result<String, PolicyFailure> {
    let input = HashProfile::Rfc8785Sha256V1.canonical(question.input);
    let max = question.policy.snapshot().limits.input_bytes;
    if input.len() as u64 > max {
        let what = format!("the input has {} bytes, and {max} are the most", input.len());
        let remedy = "leave out what the policy does not need";
        return Err(PolicyFailure::new(Code::POLICY_LIMIT, what, remedy));
    }
    Ok(input)
}

/// The whole answer.
pub(crate) fn answer(
    question: &PolicyQuestion<'_>,
    judged: Judged,
    rules: u64,
    took: Duration,
) -> PolicyAnswer {
    PolicyAnswer {
        snapshot: question.policy.snapshot().digest(),
        input: question.input_digest(),
        decision: judged.decision,
        rules,
        problem: judged.problem,
        engine: ENGINE.to_owned(),
        duration_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
    }
}

/// A defect in the engine is no answer, and not the end of the program.
fn guarded<T>(work: impl FnOnce() -> Result<T, PolicyFailure>) -> Result<T, PolicyFailure> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let what = "the policy engine broke down over this policy";
        let remedy = "simplify the policy, and report the defect";
        Err(PolicyFailure::new(Code::POLICY_COMPILE, what, remedy))
    })
}

/// Modules and data that are ready to be asked.
pub(crate) struct Compiled {
    engine: Engine,
    rules: Rules,
}

impl Compiled {
    pub(crate) fn of(policy: &PolicyFiles) -> Result<Self, PolicyFailure> {
        let mut engine = Engine::new();
        engine.set_rego_v0(false);
        engine.set_strict_builtin_errors(true);
        engine.set_execution_timer_config(timer(COMPILE_MS_MAX));
        for (path, text) in policy.modules() {
            let added = engine.add_policy(path.clone(), text.clone());
            added.map_err(|error| does_not_compile(&error.to_string()))?;
        }
        let trees =
            engine.get_ast_as_json().map_err(|error| does_not_compile(&error.to_string()))?;
        let (rules, trees) = Rules::read(&trees)?;
        rules.check_calls(&trees, &policy.snapshot().builtins)?;
        if let Some(data) = policy.data() {
            let text = String::from_utf8_lossy(data);
            engine.add_data_json(&text).map_err(|error| does_not_compile(&error.to_string()))?;
        }
        // Rules that contradict one another, and variables that have no value, are found when the
        // first question is asked.
        let asked = engine.eval_query("true".to_owned(), false);
        asked.map_err(|error| does_not_compile(&error.to_string()))?;
        Ok(Self { engine, rules })
    }

    /// What `allow` and `deny` of the entry say, and how many rules were evaluated for it.
    fn ask(mut self, policy: &PolicyFiles, input: &str) -> (Judged, u64) {
        let entry = &policy.snapshot().entry;
        let limits = policy.snapshot().limits;
        let (allow, deny) = (format!("{entry}.allow"), format!("{entry}.deny"));
        if !self.rules.has(&allow) && !self.rules.has(&deny) {
            return (Judged::bare(PolicyVerdict::NoRules), 0);
        }
        self.engine.set_enable_coverage(true);
        if let Err(error) = self.engine.set_input_json(input) {
            return (failed(error.downcast_ref(), &error.to_string()), 0);
        }
        let deadline = Instant::now() + Duration::from_millis(limits.time_ms);
        let mut value = |name: &str| -> Result<Option<Value>, Judged> {
            if !self.rules.has(name) {
                return Ok(None);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let left = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
            self.engine.set_execution_timer_config(timer(left));
            let value = self.engine.eval_rule(name.to_owned());
            let value = value.map_err(|error| failed(error.downcast_ref(), &error.to_string()))?;
            // A builtin that is one long piece of work does not look at the clock.
            if Instant::now() > deadline {
                return Err(Judged::bare(PolicyVerdict::TimedOut));
            }
            Ok(Some(value))
        };
        let answers = value(&deny).and_then(|deny| Ok((value(&allow)?, deny)));
        let rules = self.evaluated();
        let judged = match answers {
            Err(judged) => judged,
            Ok((allow, deny)) => {
                let allow = allow.unwrap_or(Value::Undefined);
                judge(&allow, deny.as_ref(), limits.reasons)
            }
        };
        if judged.decision.verdict == PolicyVerdict::Allow && rules == 0 {
            return (Judged::bare(PolicyVerdict::NoRules), 0);
        }
        (judged, rules)
    }

    /// How many rules were evaluated: those of which at least one line was. Defaults do not count.
    fn evaluated(&self) -> u64 {
        let Ok(report) = self.engine.get_coverage_report() else { return 0 };
        let evaluated = self.rules.all.iter().filter(|rule| {
            let mut files = report.files.iter().filter(|file| file.path == rule.module);
            let (first, last) = rule.lines;
            files.any(|file| file.covered.range(first..=last).next().is_some())
        });
        evaluated.count() as u64
    }
}

fn timer(ms: u64) -> ExecutionTimerConfig {
    ExecutionTimerConfig { limit: Duration::from_millis(ms), check_interval: CLOCK_EVERY }
}

/// An evaluation that went wrong.
fn failed(limit: Option<&LimitError>, told: &str) -> Judged {
    match limit {
        Some(LimitError::TimeLimitExceeded { .. }) => Judged::bare(PolicyVerdict::TimedOut),
        Some(_) | None => Judged::wrong(one_line(told)),
    }
}

fn does_not_compile(told: &str) -> PolicyFailure {
    let what = format!("the policy does not compile: {}", one_line(told));
    PolicyFailure::new(Code::POLICY_COMPILE, what, "put the module right, and check it again")
}

/// What the engine says, which may draw the place over several lines, in one.
fn one_line(told: &str) -> String {
    let words: Vec<&str> = told.split_whitespace().collect();
    words.join(" ").chars().take(500).collect()
}

#[cfg(test)]
mod tests;
