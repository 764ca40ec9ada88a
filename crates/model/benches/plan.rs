//! How long a plan of 10,000 steps takes to be read, checked and compiled.
//!
//!     cargo bench -p carnet-model --bench plan

use std::error::Error;
use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use carnet_model::plan::Plan;

const STEPS: [usize; 3] = [1_000, 5_000, 10_000];
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    for steps in STEPS {
        let text = plan(steps)?;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let (plan, _) = Plan::open("plan.yaml", black_box(&text))?;
            times.push(began.elapsed());
            assert!(plan.phases().iter().map(|phase| phase.nodes.len()).sum::<usize>() > steps);
        }
        times.sort();
        let median = times.get(ROUNDS / 2).copied().unwrap_or_default();
        let line = format!(
            "{steps} steps, {} KiB: {:.1} ms (median of {ROUNDS})\n",
            text.len() / 1024,
            median.as_secs_f64() * 1000.0
        );
        std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes())?;
    }
    Ok(())
}

/// Phases of 500 steps, every tenth beside the one before it, each with an undo of its own and a
/// gate behind all.
fn plan(steps: usize) -> Result<String, std::fmt::Error> {
    let mut text = "carnet: v1\nmigration: big\nowner: me\nphases:\n".to_owned();
    for number in 0..steps {
        if number % 500 == 0 {
            if number > 0 {
                text.push_str("    exit: [{ gate: file, with: { path: done } }]\n");
            }
            writeln!(text, "  - name: p{}\n    steps:", number / 500)?;
        }
        let after = match number % 500 {
            place if place > 1 && place % 10 == 0 => format!(", after: [s{}]", number - 2),
            _ => String::new(),
        };
        writeln!(
            text,
            "      - {{ name: s{number}, capability: sql.change, with: {{ database: \"sqlite:a.db\", \
             statements: [{{ sql: \"INSERT INTO t VALUES ({number})\" }}] }}, undo: {{ capability: \
             sql.change, with: {{ database: \"sqlite:a.db\", statements: [{{ sql: \"DELETE FROM t \
             WHERE a = {number}\" }}] }} }}{after} }}"
        )?;
    }
    text.push_str("    exit: [{ gate: file, with: { path: done } }]\n");
    Ok(text)
}
