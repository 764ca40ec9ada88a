//! How many evaluations each gate makes in a second, its damaged copies included.
//!
//! ```text
//! cargo bench -p carnet-model --bench gates
//! ```
//!
//! Nothing here fails for being slow.

use std::io::Write;
use std::time::{Duration, Instant};

use carnet_model::gate::{Control, Definition, Gate, Observation, Sample, evaluate, samples};

/// How long each sample is judged.
const LONG: Duration = Duration::from_millis(300);

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "gate                evaluations/s  judgements/s  damaged copies")?;
    for gate in Gate::ALL {
        let (mut evaluations, mut judgements, mut damaged) = (0_u32, 0_u64, 0);
        let mut took = Duration::ZERO;
        for Sample { rule, facts, .. } in samples(*gate) {
            let controls = rule.controls().iter().map(|name| Control::new(name, "refused", true));
            let observation =
                Observation { controls: controls.collect(), ..Observation::new(0, facts) };
            let definition = Definition::new(rule);
            let started = Instant::now();
            while started.elapsed() < LONG {
                let evaluation = evaluate(&definition, &observation, 0, &[]);
                assert!(evaluation.opens());
                evaluations += 1;
                judgements += evaluation.damaged + 1;
                damaged = damaged.max(evaluation.damaged);
            }
            took += started.elapsed();
        }
        let seconds = took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let judged = judgements as f64 / seconds;
        let each = f64::from(evaluations) / seconds;
        writeln!(out, "{:<20}{each:>13.0}{judged:>14.0}{damaged:>16}", gate.id())?;
    }
    Ok(())
}
