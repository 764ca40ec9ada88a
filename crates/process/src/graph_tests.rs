//! Branches, waits, people, amendments and the rollback procedure, by tables.

use std::sync::Arc;

use carnet_ledger::{Digest, EventTime, Object};

use super::*;

fn at(seconds: i64) -> EventTime {
    EventTime::from_unix_millis(1_800_000_000_000 + seconds * 1000).unwrap()
}

fn plan() -> Digest {
    Digest::of(b"plan")
}

fn step(undo: Undo) -> NodeKind {
    NodeKind::Step { repeat: Repeat::Again, undo }
}

fn gate(closed: Closed) -> NodeKind {
    NodeKind::Gate { closed }
}

/// Nodes with what they come after: `"a"`, or `"a:branch"`.
fn phase(name: &str, nodes: &[(&str, NodeKind, &[&str])]) -> Phase {
    let index = |wanted: &str| nodes.iter().position(|(name, _, _)| *name == wanted).unwrap();
    let nodes = nodes.iter().map(|(name, kind, after)| Node {
        name: (*name).to_owned(),
        after: after
            .iter()
            .map(|after| match after.split_once(':') {
                Some((node, branch)) => {
                    After { node: index(node), branch: Some(branch.to_owned()) }
                }
                None => After { node: index(after), branch: None },
            })
            .collect(),
        kind: kind.clone(),
    });
    Phase {
        name: name.to_owned(),
        part: Part::Forward,
        on_failure: OnFailure::Undo,
        begins: Begins::InTurn,
        nodes: nodes.collect(),
    }
}

struct Desk {
    state: State,
    facts: Vec<Fact>,
    now: EventTime,
}

impl Desk {
    fn new(phases: Vec<Phase>) -> Self {
        let mut desk = Self { state: State::default(), facts: Vec::new(), now: at(0) };
        desk.say(Command::Run(start(phases))).unwrap();
        desk
    }

    fn say(&mut self, command: Command) -> Result<(), Refused> {
        for fact in decide(&self.state, command, self.now)? {
            apply(&mut self.state, &fact, self.now).unwrap();
            self.facts.push(fact);
        }
        let mut again = State::default();
        for fact in &self.facts {
            apply(&mut again, fact, self.now).unwrap();
        }
        // Times differ, since the facts are applied again at one moment.
        let status = |state: &State| state.run.as_ref().unwrap().status;
        assert_eq!(status(&again), status(&self.state));
        Ok(())
    }

    fn enter(mut self, phase: &str) -> Self {
        self.say(Command::Enter(phase.into())).unwrap();
        self
    }

    fn run(&self) -> &RunState {
        self.state.run.as_ref().unwrap()
    }

    fn ready(&self) -> Vec<Next> {
        ready(self.run())
    }

    fn begin(&mut self, step: &str) {
        self.say(Command::Begin { step: step.into(), inputs: Object::new() }).unwrap();
    }

    fn end(&mut self, step: &str, result: StepResult) {
        let why = (result != StepResult::Applied).then(|| (Ending::Failed, stop(step)));
        let (step, facts) = (step.into(), Object::new());
        self.say(Command::Settle { step, result, facts, why }).unwrap();
    }

    fn done(&mut self, step: &str) {
        self.begin(step);
        self.end(step, StepResult::Applied);
    }

    fn judge(&mut self, gate: &str, opens: bool) -> Result<(), Refused> {
        let verdict = GateVerdict {
            verdict: if opens { "pass" } else { "no_data" }.into(),
            opens,
            reason: "seen".into(),
            refused: 1,
            damaged: 1,
            remedy: String::new(),
            observation: None,
            exception: None,
        };
        self.say(Command::Judge { gate: gate.into(), verdict, stop: stop(gate) })
    }

    /// Goes back as long as undo goes; gives the steps in their order.
    fn undo_all(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        while let Next::Undo(step) = next(self.run()) {
            self.say(Command::BeginUndo(step.clone())).unwrap();
            self.say(Command::SettleUndo { step: step.clone(), result: Ok(Vec::new()) }).unwrap();
            names.push(step);
        }
        names
    }
}

fn start(phases: Vec<Phase>) -> Start {
    let process = Arc::new(Process { name: "test".into(), phases });
    Start {
        run: "r".into(),
        plan: plan(),
        document: Digest::of(b"text"),
        amends: None,
        dry_run: false,
        initiator: Some("ops".into()),
        trust: None,
        process,
        again: false,
    }
}

fn stop(subject: &str) -> Stop {
    Stop::precondition("gate.closed", subject, "because".into(), "do this".into())
}

fn begin(step: &str) -> Next {
    Next::Begin(step.into())
}

const ALWAYS: NodeKind = NodeKind::Step { repeat: Repeat::Again, undo: Undo::Always };

#[test]
fn branches_run_side_by_side_and_are_undone_in_the_order_of_their_ends() {
    let graph = phase(
        "p",
        &[
            ("first", ALWAYS, &[]),
            ("left", ALWAYS, &["first"]),
            ("right", ALWAYS, &["first"]),
            ("join", gate(Closed::Refuse), &["left", "right"]),
        ],
    );
    let mut desk = Desk::new(vec![graph]).enter("p");
    desk.done("first");
    assert_eq!(desk.ready(), [begin("left"), begin("right")]);
    desk.begin("left");
    desk.begin("right");
    assert!(desk.judge("join", true).is_err(), "a join waits for all that lead to it");
    desk.end("right", StepResult::Applied);
    assert!(desk.judge("join", true).is_err());
    desk.end("left", StepResult::Applied);
    assert_eq!(desk.ready(), [Next::Judge("join".into())]);
    desk.judge("join", false).unwrap();
    // Left ended last.
    assert_eq!(desk.undo_all(), ["left", "right", "first"]);
    assert_eq!(desk.ready(), [Next::End(Ending::Refused)]);
}

#[test]
fn what_is_under_way_when_another_branch_fails_counts_and_is_undone() {
    let graph = phase("p", &[("a", ALWAYS, &[]), ("b", ALWAYS, &[]), ("c", ALWAYS, &[])]);
    let mut desk = Desk::new(vec![graph.clone()]).enter("p");
    for step in ["a", "b", "c"] {
        desk.begin(step);
    }
    desk.end("b", StepResult::NotApplied);
    desk.end("a", StepResult::Applied);
    // The second failure turns nothing any more.
    desk.end("c", StepResult::NotApplied);
    assert_eq!(desk.undo_all(), ["c", "a", "b"]);
    assert_eq!(desk.ready(), [Next::End(Ending::Failed)]);
    // Cut off in mid-effect: what is in doubt counts as done, and is undone.
    let mut desk = Desk::new(vec![graph]).enter("p");
    desk.begin("a");
    desk.begin("b");
    desk.end("b", StepResult::NotApplied);
    desk.say(Command::Run(start(Vec::new()))).unwrap();
    assert_eq!(desk.undo_all(), ["b", "a"]);
}

#[test]
fn one_branch_is_taken_and_the_other_is_never_reached() {
    let choice = NodeKind::Choice { branches: vec!["small".into()], otherwise: "large".into() };
    let graph = phase(
        "p",
        &[
            ("size", choice, &[]),
            ("quick", ALWAYS, &["size:small"]),
            ("slow", ALWAYS, &["size:large"]),
            ("check", gate(Closed::Refuse), &["slow"]),
            ("after", ALWAYS, &["quick", "check"]),
        ],
    );
    for (branch, ways) in [("small", vec!["quick", "after"]), ("large", vec!["slow", "after"])] {
        let mut desk = Desk::new(vec![graph.clone()]).enter("p");
        let choose = |branch: &str| Command::Choose {
            choice: "size".into(),
            branch: branch.into(),
            reason: "seen".into(),
        };
        assert!(desk.say(choose("huge")).is_err(), "no such branch");
        assert!(desk.say(Command::Begin { step: "quick".into(), inputs: Object::new() }).is_err());
        desk.say(choose(branch)).unwrap();
        assert!(desk.say(choose(branch)).is_err(), "only once");
        let mut gone = Vec::new();
        loop {
            match next(desk.run()) {
                Next::Begin(step) => {
                    desk.done(&step);
                    gone.push(step);
                }
                Next::Judge(gate) => desk.judge(&gate, true).unwrap(),
                Next::Leave(phase) => desk.say(Command::Leave(phase)).unwrap(),
                Next::End(ending) => break assert_eq!(ending, Ending::Done),
                other @ (Next::Enter(_)
                | Next::Choose(_)
                | Next::Set(_)
                | Next::Await { .. }
                | Next::Hear(_)
                | Next::Commit(_)
                | Next::Settle(_)
                | Next::Undo(_)
                | Next::Wait
                | Next::Nothing) => panic!("{other:?}"),
            }
        }
        assert_eq!(gone, ways);
    }
}

#[test]
fn a_timer_is_over_when_it_is_due_and_not_before() {
    let graph = phase(
        "p",
        &[
            ("soak", NodeKind::Timer(Due::After { seconds: 60 }), &[]),
            ("date", NodeKind::Timer(Due::At { time: at(30) }), &[]),
            ("beside", ALWAYS, &[]),
        ],
    );
    let mut desk = Desk::new(vec![graph]).enter("p");
    desk.say(Command::SetTimer("soak".into())).unwrap();
    desk.say(Command::SetTimer("date".into())).unwrap();
    let due = |timer: &str, seconds| Next::Await { timer: timer.into(), due: at(seconds) };
    assert_eq!(desk.ready(), [begin("beside"), due("soak", 60), due("date", 30)]);
    desk.done("beside");
    desk.now = at(30);
    let early = Refused::NotDue { timer: "soak".into(), due: at(60) };
    assert_eq!(desk.say(Command::EndTimer("soak".into())), Err(early));
    desk.say(Command::EndTimer("date".into())).unwrap();
    // A clock that was set back opens nothing.
    desk.now = at(-900);
    assert!(desk.say(Command::EndTimer("soak".into())).is_err());
    desk.now = at(61);
    desk.say(Command::EndTimer("soak".into())).unwrap();
    assert_eq!(desk.ready(), [Next::Leave("p".into())]);
}

#[test]
fn word_may_come_before_anybody_waits_for_it_and_only_once() {
    let graph = phase("p", &[("before", ALWAYS, &[]), ("go", NodeKind::Message, &["before"])]);
    let mut desk = Desk::new(vec![graph]).enter("p");
    let send = || Command::Send { message: "go".into(), reason: "yes".into() };
    desk.say(send()).unwrap();
    assert!(desk.say(send()).is_err());
    assert_eq!(desk.ready(), [begin("before")]);
    desk.done("before");
    assert_eq!(desk.ready(), [Next::Leave("p".into())]);
}

fn approval(approver: &str, plan: Digest, expires: EventTime) -> Command {
    Command::Approve(Approval {
        subject: "go".into(),
        approver: approver.into(),
        key: None,
        plan,
        gate_table: Digest::of(b"table"),
        at: at(0),
        expires,
        statement: Digest::of(b"statement"),
    })
}

#[test]
fn an_approval_that_is_missing_lets_the_run_wait_and_undoes_nothing() {
    let graph = phase("p", &[("change", ALWAYS, &[]), ("go", gate(Closed::Wait), &["change"])]);
    let mut desk = Desk::new(vec![graph]).enter("p");
    desk.done("change");
    desk.judge("go", false).unwrap();
    assert_eq!(desk.run().status, Status::Waiting(Direction::Forward));
    assert_eq!(desk.ready(), [Next::Wait]);
    let other = approval("ops", Digest::of(b"another plan"), at(60));
    assert!(matches!(desk.say(other), Err(Refused::NotApproved { .. })));
    let expired = approval("ops", plan(), at(0));
    assert!(matches!(desk.say(expired), Err(Refused::NotApproved { .. })));
    desk.say(approval("ops", plan(), at(60))).unwrap();
    desk.say(approval("dev", plan(), at(60))).unwrap();
    desk.say(approval("ops", plan(), at(90))).unwrap();
    let held: Vec<_> = desk.run().approvals.iter().map(|it| it.approver.as_str()).collect();
    assert_eq!(held, ["dev", "ops"], "one of each person: the last");
    let withdraw = || Command::Withdraw {
        subject: "go".into(),
        approver: "dev".into(),
        reason: "a mistake".into(),
    };
    desk.say(withdraw()).unwrap();
    assert!(desk.say(withdraw()).is_err(), "there is none any more");
    desk.say(Command::Run(start(Vec::new()))).unwrap();
    assert_eq!(desk.ready(), [Next::Judge("go".into())], "the step stays done");
}

#[test]
fn an_amended_plan_changes_only_what_has_not_begun() {
    let one = |name: &str| phase(name, &[(&format!("{name}/do")[..], ALWAYS, &[])]);
    let mut desk = Desk::new(vec![one("a"), one("b")]).enter("a");
    desk.done("a/do");
    let amend = |phases, amends| {
        Command::Run(Start { plan: Digest::of(b"amended"), amends: Some(amends), ..start(phases) })
    };
    let more = vec![one("a"), one("x"), one("b"), one("c")];
    assert!(matches!(
        desk.say(amend(more.clone(), Digest::of(b"else"))),
        Err(Refused::PlanChanged { .. })
    ));
    assert!(matches!(
        desk.say(amend(vec![one("z"), one("b")], plan())),
        Err(Refused::AmendsBegun { .. })
    ));
    desk.say(amend(more, plan())).unwrap();
    assert_eq!((desk.run().plan, desk.run().amendments), (Digest::of(b"amended"), 1));
    desk.say(Command::Leave("a".into())).unwrap();
    assert_eq!(desk.ready(), [Next::Enter("x".into())]);
    // The old plan has no say any more.
    assert!(matches!(desk.say(Command::Run(start(Vec::new()))), Err(Refused::PlanChanged { .. })));
}

#[test]
fn a_procedure_takes_back_what_lies_before_the_phase_that_failed() {
    let mut back = phase(
        "back",
        &[("back/dns", ALWAYS, &[]), ("back/ok", gate(Closed::Refuse), &["back/dns"])],
    );
    back.part = Part::Rollback;
    let phases = || {
        vec![
            phase("a", &[("a/do", ALWAYS, &[])]),
            phase("b", &[("b/do", ALWAYS, &[]), ("b/more", ALWAYS, &["b/do"])]),
            back.clone(),
        ]
    };
    let mut desk = Desk::new(phases()).enter("a");
    desk.done("a/do");
    desk.say(Command::Leave("a".into())).unwrap();
    let mut desk = desk.enter("b");
    assert!(desk.say(Command::Enter("back".into())).is_err(), "not on the way forward");
    desk.done("b/do");
    desk.begin("b/more");
    desk.end("b/more", StepResult::NotApplied);
    assert!(desk.say(Command::Enter("back".into())).is_err(), "undo comes first");
    assert_eq!(desk.undo_all(), ["b/more", "b/do"]);
    let mut desk = desk.enter("back");
    assert!(desk.say(Command::End(Ending::Failed)).is_err(), "the procedure has just begun");
    desk.done("back/dns");
    assert!(desk.run().undo.is_empty(), "the procedure itself is not undone");
    desk.judge("back/ok", false).unwrap();
    assert_eq!(desk.run().status, Status::Waiting(Direction::Undo(Ending::Failed)));
    desk.say(Command::Retry("back/ok".into())).unwrap();
    desk.judge("back/ok", true).unwrap();
    desk.say(Command::Leave("back".into())).unwrap();
    desk.say(Command::End(Ending::Failed)).unwrap();
    // Where only the phase that failed had begun, there is nothing for it to do.
    let mut desk = Desk::new(phases()).enter("a");
    desk.begin("a/do");
    desk.end("a/do", StepResult::NotApplied);
    assert_eq!(desk.undo_all(), ["a/do"]);
    assert_eq!(desk.ready(), [Next::End(Ending::Failed)]);
}

/// Behind the point of no return undo leaves nearly everything as it is, in the phase that is open
/// too: what it leaves is the affair of the procedure.
#[test]
fn a_procedure_takes_back_what_undo_leaves_behind_the_point_of_no_return() {
    use StepResult::{Applied, NotApplied};
    let ended = |undo: Undo, first: &str, result: StepResult| {
        let mut back = phase("back", &[("back/free", ALWAYS, &[])]);
        back.part = Part::Rollback;
        let nodes = [
            ("early", step(undo), &[][..]),
            ("commit", NodeKind::Commit, &["early"]),
            ("late", step(undo), &["commit"]),
        ];
        let mut desk = Desk::new(vec![phase("p", &nodes), back]).enter("p");
        desk.done("early");
        if first == "late" {
            desk.say(Command::Commit("commit".into())).unwrap();
            desk.begin("late");
            desk.end("late", result);
        } else if first == "commit" {
            desk.say(Command::Commit("commit".into())).unwrap();
        }
        desk.say(Command::Rollback { plan: plan() }).unwrap();
        let undone = desk.undo_all();
        (undone.join(" "), desk.ready())
    };
    let (back, over) = ([Next::Enter("back".into())], [Next::End(Ending::RolledBack)]);
    let none = String::new;
    assert_eq!(ended(Undo::BeforeCommit, "commit", Applied), (none(), back.to_vec()));
    assert_eq!(ended(Undo::BeforeCommit, "late", NotApplied), (none(), back.to_vec()));
    assert_eq!(ended(Undo::Impossible, "late", Applied), (none(), back.to_vec()));
    // All of it is undone, or nothing was changed: the procedure has no work.
    assert_eq!(ended(Undo::BeforeCommit, "early", Applied), ("early".into(), over.to_vec()));
    assert_eq!(ended(Undo::Always, "late", Applied), ("late early".into(), over.to_vec()));
    assert_eq!(ended(Undo::Nothing, "late", Applied), (none(), over.to_vec()));
}

/// What failed behind the point of no return may have done a part of its work.
#[test]
fn what_failed_behind_the_point_of_no_return_is_the_affair_of_the_procedure() {
    let mut back = phase("back", &[("back/free", ALWAYS, &[])]);
    back.part = Part::Rollback;
    let nodes =
        [("commit", NodeKind::Commit, &[][..]), ("hold", step(Undo::BeforeCommit), &["commit"])];
    let mut desk = Desk::new(vec![phase("p", &nodes), back]).enter("p");
    desk.say(Command::Commit("commit".into())).unwrap();
    desk.begin("hold");
    desk.end("hold", StepResult::NotApplied);
    desk.say(Command::Rollback { plan: plan() }).unwrap();
    assert_eq!(desk.ready(), [Next::Enter("back".into())]);
}

#[test]
fn a_failed_undo_is_tried_again_skipped_or_done_by_hand() {
    let graph = phase(
        "p",
        &[("a", ALWAYS, &[]), ("b", ALWAYS, &["a"]), ("c", gate(Closed::Refuse), &["b"])],
    );
    let failed = || {
        let mut desk = Desk::new(vec![graph.clone()]).enter("p");
        desk.done("a");
        desk.done("b");
        desk.judge("c", false).unwrap();
        desk.say(Command::BeginUndo("b".into())).unwrap();
        desk.say(Command::SettleUndo { step: "b".into(), result: Err(stop("b")) }).unwrap();
        assert_eq!(desk.ready(), [Next::Wait]);
        desk
    };
    let by_hand = |by_hand| Command::SettleByHand {
        step: "b".into(),
        by_hand,
        by: "ops".into(),
        reason: "the table is gone".into(),
    };
    let mut desk = failed();
    assert!(desk.say(Command::Retry("a".into())).is_err(), "a is no incident");
    desk.say(Command::Retry("b".into())).unwrap();
    assert_eq!(desk.undo_all(), ["b", "a"]);
    let mut desk = failed();
    desk.say(by_hand(ByHand::LeftStanding)).unwrap();
    assert_eq!(desk.undo_all(), ["a"]);
    assert_eq!(desk.run().left_behind, ["b was left as it is: the table is gone"]);
    assert_eq!(desk.run().standing(), ["b"]);
    let mut desk = failed();
    assert!(desk.say(by_hand(ByHand::Applied)).is_err());
    desk.say(by_hand(ByHand::Undone)).unwrap();
    assert_eq!(desk.undo_all(), ["a"]);
    assert!(desk.run().left_behind.is_empty());
}

#[test]
fn where_a_phase_waits_on_failure_a_person_decides() {
    let mut graph = phase("p", &[("a", step(Undo::BeforeCommit), &[])]);
    graph.on_failure = OnFailure::Wait;
    let mut desk = Desk::new(vec![graph]).enter("p");
    desk.begin("a");
    desk.end("a", StepResult::Unknown);
    assert_eq!(desk.run().status, Status::Waiting(Direction::Forward));
    let settle = |by_hand| Command::SettleByHand {
        step: "a".into(),
        by_hand,
        by: "ops".into(),
        reason: "seen".into(),
    };
    assert!(desk.say(settle(ByHand::Undone)).is_err());
    desk.say(settle(ByHand::NotApplied)).unwrap();
    assert_eq!(desk.ready(), [begin("a")]);
    desk.begin("a");
    desk.end("a", StepResult::NotApplied);
    assert_eq!(desk.run().status, Status::Waiting(Direction::Forward), "it does not turn back");
    desk.say(settle(ByHand::Applied)).unwrap();
    assert_eq!(desk.ready(), [Next::Leave("p".into())]);
}

#[test]
fn what_has_led_to_a_change_is_not_asked_again_after_a_crash() {
    let graph = phase(
        "p",
        &[
            ("absent", gate(Closed::Refuse), &[]),
            ("look", step(Undo::Nothing), &[]),
            ("make", ALWAYS, &["absent"]),
            ("there", gate(Closed::Refuse), &["make"]),
        ],
    );
    let mut desk = Desk::new(vec![graph]).enter("p");
    desk.judge("absent", true).unwrap();
    desk.done("look");
    desk.say(Command::Run(start(Vec::new()))).unwrap();
    let again = [Next::Judge("absent".into()), begin("look")];
    assert_eq!(desk.ready(), again, "nothing has changed yet: both are asked again");
    desk.judge("absent", true).unwrap();
    desk.begin("make");
    desk.say(Command::Run(start(Vec::new()))).unwrap();
    assert_eq!(desk.ready(), [begin("look"), Next::Settle("make".into())]);
}

#[test]
fn a_process_that_cannot_be_run_is_none() {
    let good = Process { name: "t".into(), phases: vec![phase("p", &[("a", ALWAYS, &[])])] };
    assert_eq!(good.flaw(), None);
    assert_eq!(Process::read(&good.write()), Ok(good.clone()));
    let mut twice = good.clone();
    twice.phases.push(phase("q", &[("a", ALWAYS, &[])]));
    let mut forward = good.clone();
    forward.phases[0].nodes[0].after = vec![After { node: 0, branch: None }];
    let mut branch = good.clone();
    branch.phases[0].nodes.push(Node {
        name: "b".into(),
        after: vec![After { node: 0, branch: Some("left".into()) }],
        kind: ALWAYS,
    });
    let mut behind = good;
    behind.phases[0].part = Part::Rollback;
    behind.phases.push(phase("q", &[("z", ALWAYS, &[])]));
    for flawed in [twice, forward, branch, behind] {
        assert!(flawed.flaw().is_some(), "{flawed:?}");
        assert_eq!(Process::read(&flawed.write()), Err(NotAProcess));
        let start = Start { process: Arc::new(flawed), ..start(Vec::new()) };
        assert!(decide(&State::default(), Command::Run(start), at(0)).is_err());
    }
}
