//! Progress on stderr: bars on a terminal, plain lines in a pipe, nothing with `--json` in a pipe.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use carnet_connect::{Job, NoProgress, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::amount;
use crate::screen::Screen;

/// How progress is shown in this process.
pub(crate) fn progress(screen: &Screen) -> Box<dyn Progress> {
    if screen.draws {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        Box::new(Bars { bars, colour: screen.talk.colour })
    } else if screen.json {
        Box::new(NoProgress)
    } else {
        Box::new(Lines)
    }
}

/// A bar for each job. It goes when the job ends, and leaves one plain line.
struct Bars {
    bars: MultiProgress,
    colour: bool,
}

/// With an exact total: a bar, a share, a rate, the time left. Without: what was done, and a rate.
const BAR: &str = "{msg:24!} {bar:16} {percent:>3}% {share:>15} {rate:>9} {eta:>4}";
const BAR_COLOUR: &str = "{msg:24!} {bar:16.cyan} {percent:>3}% {share:>15} {rate:>9} {eta:>4}";
const COUNTER: &str = "{msg:24!} {spinner} {done:>15} {rate:>12} {elapsed:>4}";

impl Progress for Bars {
    fn job(&self, name: &str, unit: &'static str, total: Option<u64>) -> Box<dyn Job + '_> {
        let bar = ProgressBar::hidden();
        if let Some(total) = total {
            bar.set_length(total);
        }
        let template = match (total, self.colour) {
            (Some(_), true) => BAR_COLOUR,
            (Some(_), false) => BAR,
            (None, _) => COUNTER,
        };
        bar.set_style(style(template, unit));
        bar.set_message(name.to_owned());
        let bar = self.bars.add(bar);
        if total.is_none() {
            bar.enable_steady_tick(Duration::from_millis(125));
        }
        let done =
            Done { name: name.to_owned(), unit, units: AtomicU64::new(0), since: Instant::now() };
        Box::new(DrawnJob { bar, bars: &self.bars, done })
    }
}

fn style(template: &str, unit: &'static str) -> ProgressStyle {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style
        .progress_chars("=> ")
        .with_key(
            "share",
            move |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                let (done, all) = (state.pos(), state.len().unwrap_or_default());
                let _ = write!(out, "{} of {}", short(done, unit), short(all, unit));
            },
        )
        .with_key("done", move |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            let _ = write!(out, "{}", measured(state.pos(), unit));
        })
        .with_key("rate", move |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a rate for people"
            )]
            let rate = state.per_sec().max(0.0) as u64;
            let _ = write!(out, "{}/s", short(rate, unit));
        })
}

/// A number in few columns: `4,000`, `1.25M`, `6.14 MB`.
fn short(number: u64, unit: &str) -> String {
    if unit == "bytes" {
        return amount::bytes(number);
    }
    if number < 100_000 {
        return amount::count(number);
    }
    amount::bytes(number)
        .replace(" kB", "k")
        .replace(" MB", "M")
        .replace(" GB", "G")
        .replace(" TB", "T")
}

/// A number with its unit.
fn measured(number: u64, unit: &str) -> String {
    if unit == "bytes" {
        return amount::bytes(number);
    }
    let one = unit.strip_suffix(if unit.ends_with("ches") { "es" } else { "s" });
    amount::counted(number, one.unwrap_or(unit), unit)
}

/// What a job did, for its last line.
struct Done {
    name: String,
    unit: &'static str,
    units: AtomicU64,
    since: Instant,
}

impl Done {
    fn line(&self) -> String {
        let took = i64::try_from(self.since.elapsed().as_micros()).unwrap_or(i64::MAX);
        let units = match self.units.load(Ordering::Relaxed) {
            0 => "ended".to_owned(),
            units => measured(units, self.unit),
        };
        format!("{}: {units} in {}", self.name, amount::duration(took))
    }
}

struct DrawnJob<'a> {
    bar: ProgressBar,
    bars: &'a MultiProgress,
    done: Done,
}

impl Job for DrawnJob<'_> {
    fn add(&self, units: u64) {
        self.done.units.fetch_add(units, Ordering::Relaxed);
        self.bar.inc(units);
    }
}

impl Drop for DrawnJob<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.bars.remove(&self.bar);
        self.bars.suspend(|| Screen::talk_line(&self.done.line()));
    }
}

/// A line when a job begins and one when it ends.
struct Lines;

impl Progress for Lines {
    fn job(&self, name: &str, unit: &'static str, total: Option<u64>) -> Box<dyn Job + '_> {
        let total = total.map(|total| format!(" ({})", measured(total, unit))).unwrap_or_default();
        Screen::talk_line(&format!("{name} …{total}"));
        let name = name.to_owned();
        Box::new(PlainJob(Done { name, unit, units: AtomicU64::new(0), since: Instant::now() }))
    }
}

struct PlainJob(Done);

impl Job for PlainJob {
    fn add(&self, units: u64) {
        self.0.units.fetch_add(units, Ordering::Relaxed);
    }
}

impl Drop for PlainJob {
    fn drop(&mut self) {
        Screen::talk_line(&self.0.line());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_few_columns() {
        assert_eq!(short(99_999, "records"), "99,999");
        assert_eq!(short(1_250_000, "records"), "1.25M");
        assert_eq!(short(6_144_045, "bytes"), "6.14 MB");
        assert_eq!(measured(4000, "records"), "4,000 records");
    }

    #[test]
    fn the_templates_are_understood() {
        for template in [BAR, BAR_COLOUR, COUNTER] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
