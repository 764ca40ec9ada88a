//! `carnet policy decide`.

use std::fs;
use std::path::PathBuf;

use carnet_bundle::read_policy;
use carnet_ledger::Value;
use carnet_model::policy::{PolicyAnswer, PolicyLimits, PolicyQuestion};
use carnet_model::{Code, Exit};
use clap::Args;

use crate::command::Setting;
use crate::failure::Failure;
use crate::policies;
use crate::sheet::Sheet;

/// Ask a policy about an input.
///
/// The exit status is 0 only if it allows it, by at least one rule.
#[derive(Debug, Args)]
pub(crate) struct Decide {
    /// The folder of the policy.
    #[arg(value_name = "DIR")]
    policy: PathBuf,
    /// What is asked about: a JSON file.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
}

impl Decide {
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let policy = read_policy(&self.policy)?;
        let input = self.input()?;
        let answer = policies::decide(&PolicyQuestion { policy: &policy, input: &input })?;
        setting.screen.show(&answer, text)?;
        Ok(if answer.allows() { Exit::Done } else { answer.code().exit() })
    }

    fn input(&self) -> Result<Value, Failure> {
        let shown = self.input.display();
        let failed = |error| Failure::io(format!("cannot read {shown}"), error);
        let bytes = fs::metadata(&self.input).map_err(failed)?.len();
        let max = PolicyLimits::MAX.input_bytes;
        if bytes > max {
            let what = format!("{shown} has {bytes} bytes, and {max} are the most");
            return Err(Failure::new(Code::POLICY_LIMIT, what)
                .remedy("leave out what the policy does not need"));
        }
        let bytes = fs::read(&self.input).map_err(failed)?;
        Value::parse(&bytes, usize::MAX).map_err(|error| {
            Failure::new(Code::POLICY_INPUT, format!("{shown} cannot be asked about"))
                .because(error.to_string())
                .remedy("write fractions and large numbers as text, and each key once")
        })
    }
}

fn text(answer: &PolicyAnswer) -> String {
    let mut sheet = Sheet::default();
    super::answer(&mut sheet, answer);
    sheet.text()
}
