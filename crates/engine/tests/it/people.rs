//! What people decide: approvals of every kind that must not count, and then one that does.

#![expect(clippy::panic, reason = "helpers of tests may fall as tests do")]

use std::fs;
use std::path::Path;
use std::process::Command;

use carnet_engine::{
    Asked, Consent, Engine, EngineError, PeopleRequest, Report, RunRequest, Signature, Statement,
};
use carnet_ledger::detached::{
    APPROVAL_NAMESPACE, DetachedSigner, MANIFEST_NAMESPACE, SignatureForm,
};
use carnet_ledger::{Digest, EventTime, SigningKey};
use carnet_model::Code;
use carnet_model::plan::{Around, Plan};

use crate::yard::Yard;

/// What somebody changed in a statement.
type Change<'c> = &'c dyn Fn(&mut Statement);

/// A yard whose cutover must be approved, with keys for everybody.
struct Office {
    yard: Yard,
    signer: std::sync::Arc<SigningKey>,
}

const MINUTE: i64 = 60_000;

impl Office {
    fn new(rule: &str) -> Self {
        let yard = Yard::new();
        let at = yard.folder.path();
        let signer = SigningKey::generate("operator".parse().unwrap(), &[7; 32]).unwrap();
        let mut trust = format!("starter vkey {}\n", signer.verifying_key());
        for name in ["ann", "bob", "starter", "eve", "nobody"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name])
                .current_dir(at)
                .status();
            assert!(made.unwrap().success());
            if name != "nobody" {
                let public = fs::read_to_string(at.join(format!("{name}.pub"))).unwrap();
                trust.push_str(&[name, public.as_str()].join(" "));
            }
        }
        fs::write(at.join("trust"), trust).unwrap();
        let approvals = format!("owner: tests\ntrust: trust\napprovals: {{ cutover: {rule} }}");
        let yard = yard.replanned("owner: tests", &approvals);
        Self { yard, signer: std::sync::Arc::new(signer) }
    }

    fn folder(&self) -> &Path {
        self.yard.folder.path()
    }

    fn engine(&self) -> Engine {
        self.yard.engine("")
    }

    fn request(&self) -> RunRequest<'_> {
        let signer = Some(std::sync::Arc::clone(&self.signer));
        RunRequest { signer, ..self.yard.request(self.folder(), false) }
    }

    fn run(&self) -> Report {
        self.engine().run(&self.request()).unwrap()
    }

    fn people(&self) -> PeopleRequest<'_> {
        PeopleRequest { plan: &self.yard.plan, folder: self.folder(), signer: None }
    }

    fn asked(&self) -> Asked {
        self.engine().asked(&self.people(), "cutover").unwrap()
    }

    fn statement(&self, approver: &str) -> Statement {
        let asked = self.asked();
        let at = self.yard.now();
        Statement {
            subject: asked.subject,
            plan: asked.plan,
            gate_table: asked.gate_table,
            run: asked.run,
            approver: approver.to_owned(),
            at,
            expires: later(at, 30 * MINUTE),
        }
    }

    fn sign(&self, statement: Statement, key: &str, namespace: &str) -> Consent {
        let key = fs::read(self.folder().join(key)).unwrap();
        let signer = DetachedSigner::read(SignatureForm::Ssh, &key).unwrap();
        let text = statement.text();
        let signature = signer.sign(namespace, text.as_bytes(), statement.at, &[1; 32]).unwrap();
        let signature = Signature { form: SignatureForm::Ssh, signature, public_key: None };
        Consent { statement, signature: Some(signature) }
    }

    fn signed(&self, statement: Statement) -> Consent {
        let key = statement.approver.clone();
        self.sign(statement, &key, APPROVAL_NAMESPACE)
    }

    fn approve(&self, consent: &Consent) -> Result<(), EngineError> {
        self.engine().approve(&self.people(), consent)
    }

    /// Refused, with these words, as an event, and the run waits as before.
    fn refuses(&self, consent: &Consent, words: &str) {
        let before = self.yard.world();
        let error = self.approve(consent).unwrap_err();
        assert_eq!(error.code(), Code::APPROVAL_INVALID, "{words}");
        let EngineError::Refused(refused) = &error else { panic!("{error:?}") };
        assert!(refused.to_string().contains(words), "{refused} should say {words:?}");
        let report = carnet_engine::status(&self.yard.state()).unwrap();
        assert_eq!(report.status, "waiting");
        assert_eq!(self.yard.world(), before);
    }

    /// The run waits for the approval, nothing is undone, and this is why.
    fn waits(&self, words: &str) {
        let report = self.run();
        assert_eq!((report.status, report.code()), ("waiting", Some(Code::APPROVAL_MISSING)));
        let stop = report.waits_for.unwrap();
        assert_eq!(stop.subject, "cutover/approval");
        assert!(stop.reason.contains(words), "{} should say {words:?}", stop.reason);
        assert!(!report.standing.is_empty() && report.stop.is_none());
    }
}

fn later(at: EventTime, millis: i64) -> EventTime {
    EventTime::from_unix_millis(at.unix_millis() + millis).unwrap()
}

const ONE: &str = "{ any_of: [ann, bob, starter], not: initiator, expires: PT1H }";

#[test]
fn nothing_but_the_right_approval_lets_the_cutover_begin() {
    let office = Office::new(ONE);
    office.waits("nobody has approved cutover");
    let good = || office.statement("ann");
    office.refuses(&office.sign(good(), "nobody", APPROVAL_NAMESPACE), "does not count");
    office.refuses(&office.sign(good(), "bob", APPROVAL_NAMESPACE), "of somebody else only");
    office.refuses(&office.sign(good(), "ann", MANIFEST_NAMESPACE), "signature is bad");
    office.refuses(&office.signed(office.statement("eve")), "not among those who may");
    office.refuses(&office.signed(office.statement("starter")), "started the run");
    office.refuses(&Consent { statement: good(), signature: None }, "must be signed");
    let wrong: [(Change<'_>, &str); 7] = [
        (&|it| it.plan = Digest([9; 32]), "another plan"),
        (&|it| it.gate_table = Digest([9; 32]), "the gates are not those"),
        (&|it| it.run = "another".to_owned(), "another run"),
        (&|it| it.subject = "import".to_owned(), "no approval of this name"),
        (&|it| it.expires = later(it.at, 61 * MINUTE), "longer than"),
        (&|it| it.expires = later(it.at, -1), "expired"),
        (&|it| it.at = later(it.at, 600 * MINUTE), "future"),
    ];
    for (change, words) in wrong {
        let mut statement = good();
        change(&mut statement);
        office.refuses(&office.signed(statement), words);
    }
    // What was signed is what counts, not what stands beside it.
    let mut swapped = office.signed(good());
    swapped.statement.expires = later(swapped.statement.expires, 1);
    office.refuses(&swapped, "signature is bad");
    office.waits("nobody has approved cutover");

    office.approve(&office.signed(good())).unwrap();
    office.engine().withdraw(&office.people(), "cutover", "ann", "too early").unwrap();
    office.waits("nobody has approved cutover");
    let error = office.engine().withdraw(&office.people(), "cutover", "ann", "again").unwrap_err();
    assert_eq!(error.code(), Code::RUN_NOT_NOW);

    office.approve(&office.signed(good())).unwrap();
    let report = office.run();
    assert_eq!(report.status, "done");
    let gate = report.gates.iter().find(|gate| gate.gate == "approval").unwrap();
    assert_eq!(gate.reason, "approved by ann");
    assert!(gate.damaged > 5 && gate.refused == gate.damaged, "{gate:?}");
}

#[test]
fn two_of_three_are_two_people() {
    let office = Office::new("{ any_of: [ann, bob, eve], count: 2, expires: PT1H }");
    office.waits("nobody has approved");
    office.approve(&office.signed(office.statement("ann"))).unwrap();
    office.waits("1 of 2 approvals count");
    office.approve(&office.signed(office.statement("ann"))).unwrap();
    office.waits("1 of 2 approvals count");
    office.approve(&office.signed(office.statement("eve"))).unwrap();
    assert_eq!(office.run().status, "done");
}

#[test]
fn an_approval_is_over_when_its_time_is_or_its_gates_have_changed() {
    let office = Office::new("{ any_of: [ann], expires: PT1H }");
    office.waits("nobody has approved");
    let mut brief = office.statement("ann");
    brief.expires = later(brief.at, 2 * MINUTE);
    office.approve(&office.signed(brief)).unwrap();
    office.yard.wait(3 * MINUTE);
    office.waits("the one of ann has expired");

    office.approve(&office.signed(office.statement("ann"))).unwrap();
    // Another artifact in the target: the gates are judged anew, and see it.
    fs::write(office.folder().join("prod/artifacts/prompts/new_v1.yaml"), "new").unwrap();
    let report = office.run();
    assert_ne!(report.status, "done", "{:?}", report.waits_for);
}

#[test]
fn who_started_the_run_must_be_known_where_it_matters() {
    let office = Office::new(ONE);
    let unsigned = office.engine().run(&office.yard.request(office.folder(), false));
    let error = unsigned.unwrap_err();
    assert_eq!(error.code(), Code::APPROVAL_INVALID);
    let EngineError::Refused(refused) = &error else { panic!("{error:?}") };
    assert!(refused.to_string().contains("nobody signed the start"), "{refused}");
    // A key that the trust file does not name is nobody's.
    let stranger = SigningKey::generate("operator".parse().unwrap(), &[8; 32]).unwrap();
    let signer = Some(std::sync::Arc::new(stranger));
    let request = RunRequest { signer, ..office.yard.request(office.folder(), false) };
    assert_eq!(office.engine().run(&request).unwrap_err().code(), Code::APPROVAL_INVALID);
    let office = Office::new("{ any_of: [ann, bob], expires: PT1H }");
    let unsigned = office.engine().run(&office.yard.request(office.folder(), false)).unwrap();
    assert_eq!(unsigned.status, "waiting");
}

#[test]
fn a_name_counts_where_the_plan_says_so() {
    let office = Office::new("{ any_of: [ann], assurance: named }");
    office.waits("nobody has approved");
    let statement = office.statement("ann");
    office.approve(&Consent { statement, signature: None }).unwrap();
    assert_eq!(office.run().status, "done");
}

#[test]
fn what_does_not_fit_is_refused_and_says_so() {
    let office = Office::new(ONE);
    let people = office.people();
    let error = office.engine().signal(&people, "cutover/go", "now").unwrap_err();
    assert_eq!(error.code(), Code::RUN_NOT_FOUND);
    office.waits("nobody has approved");
    let codes = [
        office.engine().signal(&people, "cutover/go", "now"),
        office.engine().retry(&people, "cutover/switch"),
        office.engine().settle(&people, "cutover/switch", carnet_engine::ByHand::Undone, "a", "b"),
    ]
    .map(|done| done.unwrap_err().code());
    assert_eq!(codes, [Code::RUN_NOT_NOW; 3]);
    let skip = carnet_engine::ByHand::LeftStanding;
    let error = office.engine().settle(&people, "cutover/switch", skip, "a", "b").unwrap_err();
    assert_eq!(error.code(), Code::APPROVAL_MISSING);
}

#[test]
fn a_plan_whose_trust_file_was_exchanged_is_another_plan() {
    let office = Office::new(ONE);
    office.waits("nobody has approved");
    let consent = office.signed(office.statement("ann"));
    fs::write(office.folder().join("trust"), "* ssh-ed25519 AAAA").unwrap();
    assert_eq!(office.approve(&consent).unwrap_err().code(), Code::PLAN_CHANGED);
}

/// Opens a plan that refers to files in this folder.
pub(crate) fn plan_in(folder: &Path, text: &str) -> Plan {
    let file = |path: &str| {
        let bytes = fs::read(folder.join(path)).map_err(|error| error.to_string())?;
        Ok(Digest::of(&bytes))
    };
    Plan::open_with("yard.yaml", text, &Around { now_s: None, file: &file }).unwrap().0
}
