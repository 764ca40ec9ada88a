//! `carnet policy check`.

use std::path::{Path, PathBuf};

use carnet_bundle::read_policy;
use carnet_ledger::Digest;
use carnet_model::policy::{PolicyFiles, SelfTestResult};
use carnet_model::{Code, Exit};
use clap::Args;
use serde::Serialize;

use crate::command::Setting;
use crate::failure::Failure;
use crate::policies;
use crate::sheet::Sheet;

/// Compile a policy, and run its self-tests.
///
/// The exit status is 3 if it does not compile, calls what is not allowed, or if a self-test comes
/// out otherwise.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The folder of the policy.
    #[arg(value_name = "DIR")]
    policy: PathBuf,
}

#[derive(Serialize)]
pub(super) struct View {
    policy: String,
    pub(super) snapshot: Digest,
    ok: bool,
    modules: usize,
    self_tests: Vec<SelfTestResult>,
}

impl Check {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let (_, view) = checked(&self.policy)?;
        setting.screen.show(&view, text)?;
        failure(&view).map_or(Ok(Exit::Done), Err)
    }
}

/// Reads a policy, and asks its self-tests.
pub(super) fn checked(folder: &Path) -> Result<(PolicyFiles, View), Failure> {
    let policy = read_policy(folder)?;
    let self_tests = policy.self_test(policies::decide)?;
    let view = View {
        policy: folder.display().to_string(),
        snapshot: policy.snapshot().digest(),
        ok: self_tests.iter().all(SelfTestResult::holds),
        modules: policy.modules().len(),
        self_tests,
    };
    Ok((policy, view))
}

/// Why a policy must not be used; `None` if it may.
pub(super) fn failure(view: &View) -> Option<Failure> {
    let mut wrong = view.self_tests.iter().filter(|it| !it.holds());
    let first = wrong.next()?;
    let failure = Failure::new(Code::POLICY_SELF_TEST, first.told())
        .changed("nothing was changed")
        .remedy("put the rule or the test right, and check again");
    Some(match wrong.count() {
        0 => failure,
        more => failure.because(format!("and {more} more")),
    })
}

fn text(view: &View) -> String {
    let mut sheet = Sheet::default();
    sheet.line(format_args!("policy {}", view.policy));
    sheet.line(format_args!("  snapshot  {}", view.snapshot));
    for test in &view.self_tests {
        let mark = if test.holds() { "pass" } else { "FAIL" };
        let label = format!("  {mark}  {}", test.expected.verdict);
        sheet.field(label, 16, &test.name);
        if !test.holds() {
            sheet.field("", 16, &test.told());
        }
    }
    if view.ok {
        let (modules, tests) = (view.modules, view.self_tests.len());
        sheet.line(format_args!("ok: {modules} modules, {tests} self-tests as they say"));
    }
    sheet.text()
}
