//! The engine of policies, as this build has it.

#[cfg(feature = "rego")]
use std::sync::LazyLock;

use carnet_connect::StoreError;
#[cfg(not(feature = "rego"))]
use carnet_connect::{NoOutside, Outside};
use carnet_ledger::audit::PolicyReplayer;
use carnet_model::policy::{PolicyAnswer, PolicyQuestion};
#[cfg(feature = "rego")]
use carnet_policy::{Apart, PolicyEngine, Replayer};

/// The word by which this program becomes the one that evaluates policies, and nothing else: it
/// stands in no list of commands.
#[cfg(feature = "rego")]
const WORD: &str = "policy-worker";

/// Evaluates one policy, if this process was started for that.
#[cfg(feature = "rego")]
pub(crate) fn serve() -> Option<std::process::ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next()? != WORD || words.next().is_some() {
        return None;
    }
    let served = carnet_policy::serve(std::io::stdin().lock(), std::io::stdout().lock());
    Some(served.map_or(std::process::ExitCode::FAILURE, |()| std::process::ExitCode::SUCCESS))
}

/// Evaluates one policy, if this process was started for that: this build never is.
#[cfg(not(feature = "rego"))]
pub(crate) const fn serve() -> Option<std::process::ExitCode> {
    None
}

#[cfg(feature = "rego")]
fn engine() -> Apart {
    // Without a path to itself there is no process to start, and it is told so.
    Apart::new(std::env::current_exe().unwrap_or_default(), WORD)
}

/// Asks the rules of a policy.
#[cfg(feature = "rego")]
pub(crate) fn decide(question: &PolicyQuestion<'_>) -> Result<PolicyAnswer, StoreError> {
    engine()
        .decide(question)
        .map_err(|failure| StoreError::new(failure.code, failure.what).remedy(failure.remedy))
}

/// Asks the rules of a policy: a refusal that names the feature.
#[cfg(not(feature = "rego"))]
pub(crate) fn decide(question: &PolicyQuestion<'_>) -> Result<PolicyAnswer, StoreError> {
    NoOutside.policy(question)
}

/// What evaluates recorded decisions again; `None` in a build that cannot.
#[cfg(feature = "rego")]
#[expect(clippy::unnecessary_wraps, reason = "another build has none")]
pub(crate) fn replayer() -> Option<&'static dyn PolicyReplayer> {
    static REPLAYER: LazyLock<Replayer<Apart>> = LazyLock::new(|| Replayer(engine()));
    Some(&*REPLAYER)
}

/// What evaluates recorded decisions again; `None` in a build that cannot.
#[cfg(not(feature = "rego"))]
pub(crate) fn replayer() -> Option<&'static dyn PolicyReplayer> {
    None
}

#[cfg(test)]
mod tests;
