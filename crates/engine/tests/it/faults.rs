//! Every step fails, every step is cut off, every undo fails and is cut off: the world is then what
//! it was, or what it must become.

use carnet_engine::Report;

use super::yard::Yard;

/// The steps of the plan, in order, with whether they come before the point of no return.
const STEPS: [(&str, bool); 13] = [
    ("prepare/describe_source", true),
    ("prepare/describe_target", true),
    ("quiesce/raise_flag", true),
    ("quiesce/pin_source", true),
    ("export/export_snapshot", true),
    ("transfer/place_snapshot", true),
    ("verify/rehash_snapshot", true),
    ("import/load_records", true),
    ("import/place_artifacts", true),
    ("validate/read_back", true),
    ("cutover/switch", true),
    ("cutover/lower_flag", false),
    ("decommission/archive_snapshot", false),
];

/// The points inside of steps.
const INNER: [&str; 8] = [
    "export/written",
    "transfer/file",
    "import/range",
    "import/range_written",
    "import/commit",
    "import/committed",
    "import/artifact",
    "cutover/replaced",
];

/// What a whole run makes of the world.
fn whole() -> Vec<(String, Vec<u8>)> {
    let yard = Yard::new();
    assert_eq!(yard.run("").unwrap().status, "done");
    without_run_ids(yard.world())
}

/// The switch's value holds the yard's folder by no means; snapshots are named by the clock.
fn without_run_ids(world: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    world.into_iter().filter(|(name, _)| !name.contains("knowledge_snapshot_")).collect()
}

/// Does all of it at once: most of the time goes into waiting for the disk.
fn all_at_once<T: Send>(items: Vec<T>, check: impl Fn(T) + Sync) {
    let items = std::sync::Mutex::new(items);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let Some(item) = items.lock().unwrap().pop() else { return };
                    check(item);
                }
            });
        }
    });
}

fn failed(report: &Report) {
    assert_eq!(report.status, "failed", "{report:#?}");
    assert!(report.left_behind.is_empty(), "{:?}", report.left_behind);
    assert!(report.stop.as_ref().unwrap().reason.contains("on purpose"));
}

#[test]
fn a_step_that_fails_before_the_point_of_no_return_leaves_no_trace() {
    let steps = STEPS.iter().filter(|(_, before)| *before).map(|(step, _)| *step);
    let points = steps.flat_map(|step| [format!("before/{step}"), format!("after/{step}")]);
    let points = points.chain(INNER.iter().map(|point| (*point).to_owned()));
    all_at_once(points.collect(), |point| {
        let yard = Yard::new();
        let before = yard.world();
        let report = yard.run(&format!("{point}:1:fail")).unwrap();
        failed(&report);
        assert_eq!(yard.world(), before, "{point}");
        // The next run starts anew and succeeds.
        assert_eq!(yard.run("").unwrap().status, "done", "{point}");
    });
}

#[test]
fn a_step_that_fails_behind_it_waits_and_is_done_by_the_next_run() {
    let whole = whole();
    for (step, _) in STEPS.iter().filter(|(_, before)| !before) {
        for when in ["before", "after"] {
            let yard = Yard::new();
            let report = yard.run(&format!("{when}/{step}:1:fail")).unwrap();
            assert_eq!(report.status, "waiting", "{when} {step}");
            assert!(report.can_roll_back);
            assert_eq!(yard.run("").unwrap().status, "done", "{when} {step}");
            assert_eq!(without_run_ids(yard.world()), whole, "{when} {step}");
        }
    }
}

#[test]
fn a_run_that_is_cut_off_anywhere_reaches_the_same_end() {
    let whole = whole();
    all_at_once(STEPS.to_vec(), |(step, _)| {
        for when in ["before", "after"] {
            let yard = Yard::new();
            yard.run(&format!("{when}/{step}:1:crash")).unwrap_err();
            // Twice, at the same place.
            yard.run(&format!("{when}/{step}:1:crash")).unwrap_err();
            let report = yard.run("").unwrap();
            assert_eq!(report.status, "done", "{when} {step}: {report:#?}");
            assert_eq!(report.resumes, 2);
            assert_eq!(without_run_ids(yard.world()), whole, "{when} {step}");
        }
    });
}

#[test]
fn an_undo_that_fails_or_is_cut_off_is_repeated_to_the_same_end() {
    let whole = whole();
    let undone = [
        "quiesce/raise_flag",
        "export/export_snapshot",
        "transfer/place_snapshot",
        "import/load_records",
        "import/place_artifacts",
        "cutover/switch",
    ];
    all_at_once(undone.to_vec(), |step| {
        for when in ["undo", "undone"] {
            let yard = Yard::new();
            let before = yard.world();
            let report =
                yard.run(&format!("after/cutover/switch:1:fail,{when}/{step}:1:fail")).unwrap();
            assert_eq!(report.status, "waiting", "{when} {step}");
            // It is repeated, and may be cut off again.
            yard.run(&format!("{when}/{step}:1:crash")).unwrap_err();
            failed(&yard.run("").unwrap());
            assert_eq!(yard.world(), before, "{when} {step}");

            // Who gives the command again after the cause is gone gets what the plan says.
            let yard = Yard::new();
            yard.run(&format!("after/cutover/switch:1:fail,{when}/{step}:1:fail")).unwrap();
            assert_eq!(yard.run("").unwrap().status, "done", "{when} {step}");
            assert_eq!(without_run_ids(yard.world()), whole, "{when} {step}");

            let yard = Yard::new();
            let before = yard.world();
            let fault = format!("after/cutover/switch:1:fail,{when}/{step}:1:crash");
            yard.run(&fault).unwrap_err();
            failed(&yard.run("").unwrap());
            assert_eq!(yard.world(), before, "{when} {step}");
        }
    });
}

#[test]
fn a_rollback_that_is_cut_off_is_repeated_to_the_same_end() {
    for point in ["undo/cutover/switch", "undone/cutover/switch", "undo/quiesce/raise_flag"] {
        let yard = Yard::new();
        yard.run("").unwrap();
        yard.rollback(&format!("{point}:1:crash")).unwrap_err();
        let report = yard.rollback("").unwrap();
        assert_eq!(report.status, "rolled_back", "{point}");
        let env = std::fs::read_to_string(yard.path("prod/das.env")).unwrap();
        assert_eq!(env, super::yard::OLD_ENV, "{point}");
    }
}

#[test]
fn a_rollback_in_the_middle_takes_everything_back() {
    for point in ["before/import/place_artifacts", "after/import/load_records"] {
        let yard = Yard::new();
        let before = yard.world();
        yard.run(&format!("{point}:1:crash")).unwrap_err();
        // The step's outcome is not known: the next run looks first, then it can be taken back.
        assert_eq!(yard.rollback("").unwrap_err().code(), carnet_model::Code::RUN_UNKNOWN);
        yard.run("before/cutover/switch:1:fail").unwrap();
        assert_eq!(yard.world(), before, "{point}");
    }
}
