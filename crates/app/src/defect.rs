//! A panic is a defect in Carnet: it is said so, and the process ends with status 1.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use carnet_model::Code;

use crate::failure::Failure;

/// The first panic of the process: what and where.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// Runs the work; a panic in it, or in a thread that it joins, becomes a failure.
pub(crate) fn guard<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    std::panic::set_hook(Box::new(|panic| {
        let said = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        if let Ok(mut first) = FIRST.lock() {
            first.get_or_insert(format!("{said}, at {place}"));
        }
    }));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(failure()))
}

fn failure() -> Failure {
    let first = FIRST.lock().ok().and_then(|first| first.clone());
    Failure::new(Code::BUG, "a defect in Carnet stopped the command")
        .because(first.unwrap_or_else(|| "no message".to_owned()))
        .changed("what was done before is in the journal of the state directory; a run goes on from there")
        .remedy("run the same command again, and report this text with `carnet --version`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure_that_says_what_and_where() {
        let failure = guard::<()>(|| panic!("the sky fell")).unwrap_err();
        assert_eq!(failure.code, Code::BUG);
        assert!(failure.causes[0].starts_with("the sky fell, at "), "{:?}", failure.causes);
    }
}
