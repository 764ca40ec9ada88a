//! Faults on purpose, for tests that kill the process or break a step at a known moment. Without
//! the feature `faults` every point is empty.

use crate::error::StepError;

/// Where faults strike.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    #[cfg(feature = "faults")]
    rules: Vec<Rule>,
    #[cfg(feature = "faults")]
    crashed: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

/// One fault, at the Nth pass of a point.
#[cfg(feature = "faults")]
#[derive(Debug, Clone)]
struct Rule {
    point: String,
    left: std::sync::Arc<std::sync::atomic::AtomicUsize>,
    kind: Kind,
}

#[cfg(feature = "faults")]
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// The process sleeps until it is killed.
    Sleep,
    /// The process sleeps for five seconds and goes on, as one that hung.
    Pause,
    /// The step fails.
    Fail,
    /// The engine stops without recording anything more, as if it were killed.
    Crash,
}

/// Sleeps until the process is killed, in a thread that Linux calls [`HELD`]: so a test from outside
/// knows that the point was reached.
#[cfg(feature = "faults")]
fn hold() -> ! {
    // Where threads have no such name, a test that asks for it fails and says so.
    let _ = std::fs::write("/proc/thread-self/comm", HELD);
    loop {
        std::thread::sleep(std::time::Duration::from_hours(1));
    }
}

/// Sleeps for five seconds, in a thread that is called [`HELD`] for as long. A process that is stopped
/// meanwhile sleeps on until it is woken.
#[cfg(feature = "faults")]
fn pause() {
    let name = std::fs::read("/proc/thread-self/comm").unwrap_or_default();
    let _ = std::fs::write("/proc/thread-self/comm", HELD);
    std::thread::sleep(std::time::Duration::from_secs(5));
    let _ = std::fs::write("/proc/thread-self/comm", name);
}

#[cfg(feature = "faults")]
const HELD: &str = "carnet-held";

impl Faults {
    /// Reads `POINT:N:sleep`, `POINT:N:pause`, `POINT:N:fail` or `POINT:N:crash`, several separated by commas. A
    /// point is `before/NODE`, `after/NODE`, `undo/NODE`, `undone/NODE` or one that a step names,
    /// such as `import/range`; the fault strikes at its Nth pass.
    #[cfg(feature = "faults")]
    pub fn parse(text: &str) -> Option<Self> {
        let rule = |text: &str| {
            let mut parts = text.rsplitn(3, ':');
            let (what, nth, point) = (parts.next()?, parts.next()?, parts.next()?);
            let kind = match what {
                "sleep" => Kind::Sleep,
                "pause" => Kind::Pause,
                "fail" => Kind::Fail,
                "crash" => Kind::Crash,
                _ => return None,
            };
            let left = std::sync::Arc::new(nth.parse::<usize>().ok()?.into());
            Some(Rule { point: point.to_owned(), left, kind })
        };
        let rules = text.split(',').map(rule).collect::<Option<_>>()?;
        Some(Self { rules, ..Self::default() })
    }

    /// Passes a point.
    #[cfg(feature = "faults")]
    pub(crate) fn pass(&self, point: &str) -> Result<(), StepError> {
        use std::sync::atomic::Ordering;
        for rule in self.rules.iter().filter(|rule| rule.point == point) {
            if rule.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                != Ok(1)
            {
                continue;
            }
            match rule.kind {
                Kind::Sleep => hold(),
                Kind::Pause => {
                    pause();
                    continue;
                }
                Kind::Crash => self.crashed.store(true, Ordering::SeqCst),
                Kind::Fail => {}
            }
            let what = format!("a fault on purpose at {point}");
            return Err(StepError::new(carnet_model::Code::IO, what));
        }
        Ok(())
    }

    /// Whether the engine is to stop as if it were killed.
    #[cfg(feature = "faults")]
    pub(crate) fn crashed(&self) -> bool {
        self.crashed.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// Whether the engine is to stop as if it were killed.
    #[cfg(not(feature = "faults"))]
    #[expect(clippy::unused_self, reason = "the same call as with the feature")]
    #[inline]
    pub(crate) fn crashed(&self) -> bool {
        false
    }

    /// Passes a point.
    #[cfg(not(feature = "faults"))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the same call as with the feature"
    )]
    #[inline]
    pub(crate) fn pass(&self, _point: &str) -> Result<(), StepError> {
        Ok(())
    }
}
