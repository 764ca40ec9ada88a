//! The core in seeded worlds: random processes, failures, crashes, repetitions, clocks that jump,
//! people who decide. What must always hold is checked after each event.
//!
//! A short part runs each time; with `CARNET_TEST_LONG=1` at least a million events are seen. A
//! failure names the seed of its world: `simulate(SEED, …)` shows it again.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a world that cannot be made ends its test"
)]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::Arc;

use carnet_engine::{
    AMENDMENT, After, Approval, Begins, ByHand, Closed, Command, Direction, Due, Ending, Fact,
    GateVerdict, Next, Node, NodeKind, NodeState, OnFailure, Part, Phase, PhaseStatus, Process,
    Refused, Repeat, RunState, Start, State, Status, StepResult, StepStatus, Stop, TimerState,
    Undo, apply, check, decide, ready,
};
use carnet_ledger::{Digest, EventTime, Object, RefusalClass};

/// `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    fn in_hundred(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// What was seen over all worlds.
#[derive(Default)]
struct Coverage {
    events: u64,
    runs: u64,
    crashes: u64,
    refused: u64,
    states: HashSet<u64>,
    steps: BTreeSet<(String, String)>,
    runs_seen: BTreeSet<(String, String)>,
    facts: BTreeMap<&'static str, u64>,
    endings: BTreeMap<&'static str, u64>,
}

fn name(number: usize) -> String {
    format!("n{number}")
}

fn random_kind(dice: &mut Dice) -> NodeKind {
    let undo = dice.pick(&[
        Undo::Nothing,
        Undo::Always,
        Undo::Always,
        Undo::BeforeCommit,
        Undo::BeforeCommit,
        Undo::Impossible,
    ]);
    match dice.below(20) {
        0..=11 => NodeKind::Step {
            repeat: dice.pick(&[Repeat::Again, Repeat::Probe, Repeat::Manual]),
            undo,
        },
        12 | 13 => NodeKind::Gate { closed: Closed::Refuse },
        14 => NodeKind::Gate { closed: Closed::Wait },
        15 | 16 => {
            NodeKind::Choice { branches: vec!["a".into(), "b".into()], otherwise: "c".into() }
        }
        17 => NodeKind::Timer(Due::After { seconds: dice.below(100) as u64 }),
        18 => NodeKind::Message,
        _ => NodeKind::Commit,
    }
}

fn random_phase(dice: &mut Dice, number: usize, part: Part, names: &mut usize) -> Phase {
    let mut nodes: Vec<Node> = Vec::new();
    for index in 0..=dice.below(7) {
        let mut after = Vec::new();
        while index > 0 && dice.in_hundred(if after.is_empty() { 75 } else { 30 }) {
            let node = dice.below(index);
            let branch = match &nodes[node].kind {
                NodeKind::Choice { .. } if dice.in_hundred(80) => {
                    Some(dice.pick(&["a", "b", "c"]).to_owned())
                }
                _ => None,
            };
            after.push(After { node, branch });
        }
        *names += 1;
        nodes.push(Node { name: name(*names), after, kind: random_kind(dice) });
    }
    let on_failure = if dice.in_hundred(80) { OnFailure::Undo } else { OnFailure::Wait };
    Phase { name: format!("p{number}"), part, on_failure, begins: Begins::InTurn, nodes }
}

fn random_process(dice: &mut Dice, begun: &[Phase], mut names: usize) -> Process {
    let mut phases = begun.to_vec();
    let forward = phases.len() + 1 + dice.below(4);
    while phases.len() < forward {
        phases.push(random_phase(dice, phases.len(), Part::Forward, &mut names));
    }
    if dice.in_hundred(30) {
        for _ in 0..=dice.below(2) {
            phases.push(random_phase(dice, phases.len(), Part::Rollback, &mut names));
        }
    }
    Process { name: "random".into(), phases }
}

/// One world: a state, what led to it, and a clock that may jump.
struct World<'c> {
    dice: Dice,
    state: State,
    log: Vec<(Fact, EventTime)>,
    now: i64,
    last: Option<Command>,
    intents: BTreeMap<String, u64>,
    plans: u64,
    cover: &'c mut Coverage,
}

fn time(seconds: i64) -> EventTime {
    EventTime::from_unix_millis(1_800_000_000_000 + seconds * 1000).unwrap()
}

fn stop(subject: &str) -> Stop {
    Stop {
        class: RefusalClass::EvidencePreconditionFailed,
        code: "gate.closed".into(),
        subject: subject.into(),
        reason: "because".into(),
        remedy: String::new(),
    }
}

impl World<'_> {
    fn run(&self) -> &RunState {
        self.state.run.as_ref().unwrap()
    }

    fn plan(&self) -> Digest {
        Digest::of(&self.plans.to_be_bytes())
    }

    fn start(&mut self) -> Command {
        let process = Arc::new(random_process(&mut self.dice, &[], 0));
        Command::Run(Start {
            run: "run".into(),
            plan: self.plan(),
            document: self.plan(),
            amends: None,
            dry_run: self.dice.in_hundred(5),
            initiator: None,
            trust: None,
            process,
            again: false,
        })
    }

    /// Gives a command to the core, and checks what comes of it.
    fn say(&mut self, command: Command) -> bool {
        self.last = Some(command.clone());
        let now = time(self.now);
        let facts = match decide(&self.state, command, now) {
            Ok(facts) => facts,
            Err(refused) => {
                self.cover.refused += 1;
                assert!(!matches!(refused, Refused::Done) || self.run().ending().is_some());
                return false;
            }
        };
        assert!(!facts.is_empty());
        for fact in facts {
            let before = self.state.clone();
            // Whatever is decided can be applied: nothing durable is ever contradicted.
            assert_eq!(check(&self.state, &fact), Ok(()), "{fact:?}");
            apply(&mut self.state, &fact, now).unwrap();
            self.holds(&before, &fact, now);
            self.log.push((fact, now));
        }
        true
    }

    /// What must hold after each event.
    fn holds(&mut self, before: &State, fact: &Fact, now: EventTime) {
        self.cover.events += 1;
        *self.cover.facts.entry(fact.name()).or_default() += 1;
        let run = self.state.run.as_ref().unwrap();
        let Some(old) = before.run.as_ref().filter(|_| !matches!(fact, Fact::Started { .. }))
        else {
            self.intents.clear();
            return;
        };
        let active = run.phases.iter().zip(&run.process.phases);
        let active = active.filter(|(state, phase)| {
            state.status == PhaseStatus::Active && phase.part == Part::Forward
        });
        assert!(active.count() <= 1, "two phases are active");
        let undoing = run.nodes().filter(|(_, _, state)| {
            state.step().is_some_and(|step| step.status == StepStatus::Undoing)
        });
        assert!(undoing.count() <= 1, "two steps are undone at once");
        match fact {
            Fact::Intent { step, .. } => {
                assert!(matches!(old.status, Status::Running(_)), "{step} begins in {old:?}");
                *self.intents.entry(step.clone()).or_default() += 1;
            }
            Fact::Outcome { step, result, .. } => {
                let held = old.step(step).unwrap();
                if *result != StepResult::Withheld {
                    assert_eq!(self.intents.get(step), Some(&held.activations), "no intent");
                }
            }
            Fact::UndoIntent { step } => {
                assert_eq!(old.next_undo(), Some(step.as_str()), "not the newest");
                let (place, node) = old.node(step).unwrap();
                assert!(old.undo.contains(&place));
                let NodeKind::Step { undo, .. } = node.kind else { panic!("{node:?}") };
                assert!(!old.committed || undo == Undo::Always, "behind the point of no return");
            }
            Fact::TimerOver { timer } => {
                let (place, _) = old.node(timer).unwrap();
                let Some(NodeState::Timer(TimerState::Set { due })) = old.at(place) else {
                    panic!("{timer} was not set")
                };
                assert!(*due <= now || old.dry_run, "{timer} is not due");
            }
            Fact::Ended { ending } => self.ended(*ending),
            _ => {}
        }
        self.transitions(old);
    }

    /// Before the point of no return, and without a procedure, a run that went back leaves nothing
    /// standing but what cannot be undone, and what a person left.
    fn ended(&mut self, ending: Ending) {
        let run = self.state.run.as_ref().unwrap();
        *self.cover.endings.entry(ending.name()).or_default() += 1;
        self.cover.runs += 1;
        if ending == Ending::Done {
            let done = run.phases.iter().zip(&run.process.phases);
            let mut forward = done.filter(|(_, phase)| phase.part == Part::Forward);
            assert!(forward.all(|(state, _)| state.status == PhaseStatus::Done));
            return;
        }
        assert!(run.undo.is_empty());
        if run.committed || run.by_procedure {
            return;
        }
        for (_, node, state) in run.nodes() {
            let NodeKind::Step { undo: Undo::Always | Undo::BeforeCommit, .. } = node.kind else {
                continue;
            };
            let status = state.step().unwrap().status;
            let clean = match status {
                StepStatus::NotStarted
                | StepStatus::Undone
                | StepStatus::LeftStanding
                | StepStatus::Withheld => true,
                StepStatus::Scheduled
                | StepStatus::Applied
                | StepStatus::NotApplied
                | StepStatus::Unknown
                | StepStatus::Undoing
                | StepStatus::UndoFailed => false,
            };
            assert!(clean, "{} is {status:?} at the end", node.name);
        }
    }

    fn transitions(&mut self, old: &RunState) {
        let run = self.state.run.as_ref().unwrap();
        let shown = |status: &Status| format!("{status:?}");
        if old.status != run.status {
            self.cover.runs_seen.insert((shown(&old.status), shown(&run.status)));
        }
        let mut hasher = DefaultHasher::new();
        (run.status, run.committed, run.undo.len()).hash(&mut hasher);
        for (_, node, state) in run.nodes() {
            match state {
                NodeState::Step(step) => {
                    step.status.hash(&mut hasher);
                    let was = old.step(&node.name).map(|step| step.status);
                    if let Some(was) = was.filter(|was| *was != step.status) {
                        let pair = (format!("{was:?}"), format!("{:?}", step.status));
                        self.cover.steps.insert(pair);
                    }
                }
                NodeState::Gate(gate) => gate.status.hash(&mut hasher),
                NodeState::Choice(taken) => taken.hash(&mut hasher),
                NodeState::Timer(timer) => (*timer == TimerState::Over).hash(&mut hasher),
                NodeState::Message(it) | NodeState::Commit(it) => it.hash(&mut hasher),
            }
        }
        self.cover.states.insert(hasher.finish());
    }

    /// Everything is lost but the log. What it adds up to is the same.
    fn crash(&mut self) {
        self.cover.crashes += 1;
        let mut again = State::default();
        for (fact, at) in &self.log {
            apply(&mut again, fact, *at).unwrap();
        }
        assert_eq!(again, self.state);
        let (plan, process) = (self.run().plan, Arc::clone(&self.run().process));
        let start = Start {
            run: "again".into(),
            plan,
            document: plan,
            amends: None,
            dry_run: false,
            initiator: None,
            trust: None,
            process,
            again: false,
        };
        self.say(Command::Run(start));
    }

    fn verdict(opens: bool) -> GateVerdict {
        GateVerdict {
            verdict: if opens { "pass" } else { "fail" }.into(),
            opens,
            reason: String::new(),
            refused: 1,
            damaged: 1,
            remedy: String::new(),
            observation: None,
            exception: None,
        }
    }

    /// What the driver would do, in a world in which much goes wrong.
    fn work(&mut self, next: Next) -> bool {
        let command = match next {
            Next::Enter(phase) => Command::Enter(phase),
            Next::Leave(phase) => Command::Leave(phase),
            Next::Judge(gate) => Command::Judge {
                verdict: Self::verdict(self.dice.in_hundred(85)),
                stop: stop(&gate),
                gate,
            },
            Next::Choose(choice) => {
                let branch = self.dice.pick(&["a", "b", "c"]).into();
                Command::Choose { choice, branch, reason: String::new() }
            }
            Next::Set(timer) => Command::SetTimer(timer),
            Next::Await { timer, .. } => Command::EndTimer(timer),
            Next::Hear(message) => Command::Send { message, reason: String::new() },
            Next::Commit(node) => Command::Commit(node),
            Next::Begin(step) if self.run().dry_run => {
                let (result, facts) = (StepResult::Withheld, Object::new());
                Command::Settle { step, result, facts, why: None }
            }
            Next::Begin(step) => Command::Begin { step, inputs: Object::new() },
            Next::Settle(step) => self.settle(step),
            Next::Undo(step) => return self.undo(step),
            Next::End(ending) => Command::End(ending),
            Next::Wait | Next::Nothing => return false,
        };
        self.say(command)
    }

    fn settle(&mut self, step: String) -> Command {
        let result = match self.dice.below(100) {
            0..=84 => StepResult::Applied,
            85..=94 => StepResult::NotApplied,
            _ => StepResult::Unknown,
        };
        let why = (result != StepResult::Applied)
            .then(|| (self.dice.pick(&[Ending::Failed, Ending::Refused]), stop(&step)));
        Command::Settle { step, result, facts: Object::new(), why }
    }

    fn undo(&mut self, step: String) -> bool {
        let status = self.run().step(&step).map(|step| step.status);
        if status != Some(StepStatus::Undoing) {
            return self.say(Command::BeginUndo(step));
        }
        let fails = self.dice.in_hundred(15);
        let result = if fails { Err(stop(&step)) } else { Ok(Vec::new()) };
        self.say(Command::SettleUndo { step, result })
    }

    /// Anything that anybody may say at any time.
    fn anything(&mut self) -> Command {
        let count = self.run().process.nodes().count() + 2;
        let node = name(1 + self.dice.below(count));
        let reason = String::new();
        match self.dice.below(14) {
            0 => Command::Begin { step: node, inputs: Object::new() },
            1 => self.settle(node),
            2 => Command::Judge { verdict: Self::verdict(true), stop: stop(&node), gate: node },
            3 => Command::Choose { choice: node, branch: "a".into(), reason },
            4 => Command::EndTimer(node),
            5 => Command::Send { message: node, reason },
            6 => Command::Commit(node),
            7 => Command::BeginUndo(node),
            8 => Command::Leave(format!("p{}", self.dice.below(6))),
            9 => Command::Enter(format!("p{}", self.dice.below(6))),
            10 => Command::End(self.dice.pick(&[
                Ending::Done,
                Ending::Failed,
                Ending::Refused,
                Ending::RolledBack,
            ])),
            11 => Command::Retry(node),
            12 => self.approve(),
            _ => Command::Withdraw { subject: "go".into(), approver: "ops".into(), reason },
        }
    }

    fn approve(&mut self) -> Command {
        let plan = if self.dice.in_hundred(70) { self.run().plan } else { Digest::of(b"other") };
        Command::Approve(Approval {
            subject: self.dice.pick(&["go", AMENDMENT]).into(),
            approver: self.dice.pick(&["ops", "dev"]).into(),
            key: None,
            plan,
            gate_table: plan,
            at: time(self.now),
            expires: time(self.now + 50),
            statement: plan,
        })
    }

    /// A person sees to what waits.
    fn person(&mut self) -> bool {
        let Some(subject) = self.run().waits_for().map(|stop| stop.subject.clone()) else {
            return false;
        };
        if self.dice.in_hundred(40) {
            let by_hand = self.dice.pick(&ByHand::ALL);
            let (by, reason) = ("ops".into(), "seen".into());
            return self.say(Command::SettleByHand { step: subject, by_hand, by, reason });
        }
        self.say(Command::Retry(subject))
    }

    /// The run goes on under another plan, if what has begun stays as it is.
    fn amend(&mut self) {
        let run = self.run();
        let begun = run.phases.iter().filter(|it| it.status != PhaseStatus::NotStarted).count();
        let names = run.process.nodes().count();
        let kept = run.process.phases[..begun].to_vec();
        let (amends, honest) = (run.plan, self.dice.in_hundred(70));
        let kept = if honest { kept } else { Vec::new() };
        let process = Arc::new(random_process(&mut self.dice, &kept, names));
        self.plans += 1;
        let start = Start {
            run: "amended".into(),
            plan: self.plan(),
            document: self.plan(),
            amends: Some(amends),
            dry_run: false,
            initiator: None,
            trust: None,
            process,
            again: false,
        };
        self.say(Command::Run(start));
    }

    fn turn(&mut self) {
        let jump = self.dice.below(40);
        self.now += i64::try_from(jump).unwrap() - 5;
        match self.dice.below(1000) {
            0..=24 => self.crash(),
            25..=44 => {
                if let Some(last) = self.last.clone() {
                    self.say(last);
                }
            }
            45..=114 => {
                let command = self.anything();
                self.say(command);
            }
            115..=117 => {
                let plan = self.run().plan;
                self.say(Command::Rollback { plan });
            }
            118..=121 => self.amend(),
            _ => {
                let all = ready(self.run());
                let next = all[self.dice.below(all.len())].clone();
                if !self.work(next) && !self.person() {
                    // A timer that is not due, or an incident that no person can settle: later.
                    self.now += 50;
                }
            }
        }
    }
}

/// One world from its seed.
fn simulate(seed: u64, cover: &mut Coverage) {
    let mut world = World {
        dice: Dice(seed),
        state: State::default(),
        log: Vec::new(),
        now: 0,
        last: None,
        intents: BTreeMap::new(),
        plans: 0,
        cover,
    };
    let start = world.start();
    assert!(world.say(start));
    for _ in 0..600 {
        if let Some(ending) = world.run().ending() {
            if ending == Ending::Done && world.dice.in_hundred(50) {
                let plan = world.run().plan;
                assert!(world.say(Command::Rollback { plan }) || world.run().dry_run);
                if world.run().ending().is_none() {
                    continue;
                }
            }
            return;
        }
        world.turn();
    }
}

/// All ways in which a step may go from one status to another.
const STEPS: &[(&str, &str)] = &[
    ("Applied", "NotStarted"),
    ("Applied", "Undoing"),
    ("NotApplied", "Applied"),
    ("NotApplied", "Scheduled"),
    ("NotApplied", "Undoing"),
    ("NotStarted", "Scheduled"),
    ("NotStarted", "Withheld"),
    ("Scheduled", "Applied"),
    ("Scheduled", "NotApplied"),
    ("Scheduled", "Undoing"),
    ("Scheduled", "Unknown"),
    ("UndoFailed", "LeftStanding"),
    ("UndoFailed", "Undoing"),
    ("UndoFailed", "Undone"),
    ("Undoing", "UndoFailed"),
    ("Undoing", "Undone"),
    ("Unknown", "Applied"),
    ("Unknown", "NotApplied"),
];

/// The ways in which a run may go from one status to another, with every ending for `Undo`.
fn run_transitions() -> BTreeSet<(String, String)> {
    use Direction::{Forward, Rollback};
    let mut all = vec![
        (Status::Running(Forward), Status::Waiting(Forward)),
        (Status::Waiting(Forward), Status::Running(Forward)),
        (Status::Running(Forward), Status::Running(Rollback)),
        (Status::Waiting(Forward), Status::Running(Rollback)),
        (Status::Running(Forward), Status::Ended(Ending::Done)),
        (Status::Ended(Ending::Done), Status::Running(Rollback)),
        (Status::Running(Rollback), Status::Waiting(Rollback)),
        (Status::Waiting(Rollback), Status::Running(Rollback)),
        (Status::Running(Rollback), Status::Ended(Ending::RolledBack)),
    ];
    for ending in [Ending::Failed, Ending::Refused] {
        let undo = Direction::Undo(ending);
        all.extend([
            (Status::Running(Forward), Status::Running(undo)),
            (Status::Running(undo), Status::Waiting(undo)),
            (Status::Waiting(undo), Status::Running(undo)),
            (Status::Running(undo), Status::Ended(ending)),
        ]);
    }
    all.into_iter().map(|(a, b)| (format!("{a:?}"), format!("{b:?}"))).collect()
}

#[test]
fn whatever_happens_the_core_keeps_its_promises() {
    #[expect(clippy::disallowed_methods, reason = "a flag of the test command")]
    let long = std::env::var("CARNET_TEST_LONG").is_ok_and(|it| !it.is_empty());
    let wanted = if long { 1_000_000 } else { 60_000 };
    let mut cover = Coverage::default();
    let mut seed = 0;
    while cover.events < wanted {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            simulate(seed, &mut cover);
        }));
        assert!(done.is_ok(), "the world of seed {seed} broke a promise: see above");
        seed += 1;
    }
    let told = format!(
        "simulation: {} worlds, {} events, {} runs to their end, {} crashes, {} commands refused, \
         {} distinct states, {} + {} distinct transitions; {:?}; {:?}\n",
        seed,
        cover.events,
        cover.runs,
        cover.crashes,
        cover.refused,
        cover.states.len(),
        cover.steps.len(),
        cover.runs_seen.len(),
        cover.endings,
        cover.facts,
    );
    std::io::stderr().write_all(told.as_bytes()).unwrap();
    let legal: BTreeSet<_> =
        STEPS.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    assert_eq!(cover.steps, legal, "steps go other ways than they may, or not all");
    assert_eq!(cover.runs_seen, run_transitions(), "runs go other ways, or not all");
    let names = 23;
    assert_eq!(cover.facts.len(), names, "not every fact was seen: {:?}", cover.facts);
}
