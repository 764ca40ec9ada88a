//! `carnet cap list`.

use carnet_model::Exit;
use carnet_model::capability::{all, step_of};
use clap::Args;

use super::{Promises, fencing, repeat, safety, undo};
use crate::command::Setting;
use crate::failure::Failure;
use crate::sheet::Sheet;

/// List what steps can do, and what each promises.
#[derive(Debug, Args)]
pub(crate) struct List {}

impl List {
    #[expect(clippy::unused_self, reason = "each command runs by itself")]
    pub(super) fn run(&self, setting: &Setting<'_>) -> Result<Exit, Failure> {
        let listed: Vec<_> = all().iter().map(Promises::of).collect();
        setting.screen.show(&listed, |listed| text(listed))?;
        Ok(Exit::Done)
    }
}

fn text(listed: &[Promises]) -> String {
    let mut sheet = Sheet::default();
    sheet.line("capability                   changes    repeat  undo     fencing");
    let mut apart = false;
    for one in listed {
        // The steps of knowledge/v1 come last, apart from what every plan can use.
        if !apart && step_of(one.name).is_some() {
            sheet.gap();
            apart = true;
        }
        let line = format!(
            "{:<29}{:<11}{:<8}{:<9}{}",
            one.name,
            safety(one.safety),
            repeat(one.repeat),
            undo(one.undo),
            fencing(one.fencing)
        );
        sheet.line(line.trim_end());
    }
    sheet.gap();
    sheet.line("what one takes: `carnet cap show NAME`");
    sheet.text()
}
