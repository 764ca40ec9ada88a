//! From what was found to one row a check.

use std::collections::BTreeMap;

use super::documents::{
    CHAIN_SEGMENT, CHECKPOINT, CONSISTENCY, EVENTS, Held, INDEX, MANIFEST, SUCCESSION,
};
use super::event::Expected;
use super::findings::Findings;
use super::keys::{self, Succeeded};
use super::material::{FileSum, Material, hash_entry};
use super::objects::Objects;
use super::report::{CheckId, CheckVerdict, Reason, Report, Row, Subject};
use super::stream::Streamed;
use super::{AuditError, AuditRequest, Documents, log_of};
use crate::catalogue::Family;
use crate::event::EvidenceProfile;
use crate::profile::{Continuity, families_missing};
use crate::trust::KeyRing;

/// How a check ended, with words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Pass(String),
    /// A pass that a word restricts.
    PassBut(Reason, String),
    Fail(Reason, String),
    NotChecked(Reason, String),
    NotApplicable(String),
}

impl Answer {
    pub(super) fn row(
        self,
        id: CheckId,
        input: &'static str,
        digest: Option<crate::Digest>,
        rule: &'static str,
    ) -> Row {
        let (verdict, reason_word, reason) = match self {
            Self::Pass(text) => (CheckVerdict::Pass, None, text),
            Self::PassBut(word, text) => (CheckVerdict::Pass, Some(word), text),
            Self::Fail(word, text) => (CheckVerdict::Fail, Some(word), text),
            Self::NotChecked(word, text) => (CheckVerdict::NotChecked, Some(word), text),
            Self::NotApplicable(text) => (CheckVerdict::NotApplicable, None, text),
        };
        Row { id, input, input_digest: digest, rule, verdict, reason_word, reason }
    }
}

/// All that is known of a bundle.
pub(super) struct Context<'a> {
    pub(super) material: &'a dyn Material,
    pub(super) request: &'a AuditRequest<'a>,
    pub(super) documents: &'a Documents,
    pub(super) expected: &'a Expected<'a>,
    pub(super) streamed: Streamed,
    pub(super) objects: Objects,
    pub(super) ring: KeyRing,
    pub(super) succeeded: Succeeded,
    pub(super) findings: Findings,
    /// What the signatures beside the manifest say.
    pub(super) others: Answer,
    /// What came of evaluating again what policies decided.
    pub(super) replayed: Answer,
    /// The checks that found something, of those that are answered.
    pub(super) broken: Vec<CheckId>,
    /// The sums of all files that were read.
    pub(super) sums: BTreeMap<String, FileSum>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        material: &'a dyn Material,
        request: &'a AuditRequest<'a>,
        documents: &'a Documents,
        expected: &'a Expected<'a>,
        mut streamed: Streamed,
        ring: KeyRing,
    ) -> Self {
        let mut sums = documents.sums.clone();
        if material.has(EVENTS) {
            sums.insert(EVENTS.to_owned(), streamed.sum);
        }
        sums.extend(streamed.segment_sum.map(|sum| (CHAIN_SEGMENT.to_owned(), sum)));
        Self {
            material,
            request,
            documents,
            expected,
            findings: std::mem::take(&mut streamed.findings),
            streamed,
            objects: Objects::default(),
            ring,
            succeeded: Succeeded::default(),
            others: Answer::NotApplicable(String::new()),
            replayed: Answer::NotApplicable(String::new()),
            broken: Vec::new(),
            sums,
        }
    }

    /// Takes in the objects, and looks for what the events and the manifest point to.
    pub(super) fn read_objects(&mut self, mut objects: Objects) -> Result<(), AuditError> {
        self.findings.absorb(std::mem::take(&mut objects.findings));
        self.sums.append(&mut objects.sums);
        if objects.readable {
            let pointers = self.streamed.pointers.sorted();
            let missing = objects.unresolved(self.material, self.expected.own, pointers)?;
            if let Some((first, count)) = missing {
                self.findings.add(CheckId::Pointers, Reason::PointerUnresolved, || {
                    let others = match count {
                        1 => String::new(),
                        count => format!(", and {} more are not there", count - 1),
                    };
                    format!("no object has the digest {first}, to which events point{others}")
                });
            }
            self.manifest_refs(&objects)?;
        }
        self.objects = objects;
        Ok(())
    }

    /// What the manifest lists under `artifacts` must be there too.
    fn manifest_refs(&mut self, objects: &Objects) -> Result<(), AuditError> {
        let refs = self.documents.manifest.artifacts.iter();
        let digests = refs.filter_map(|reference| super::segment::digest_of_ref(reference));
        let mut wanted: Vec<_> =
            digests.filter(|digest| !self.sums.values().any(|sum| sum.sha256 == *digest)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let missing = objects.unresolved(self.material, self.expected.own, &wanted)?;
        if let Some((first, _)) = missing {
            self.findings.add(CheckId::Pointers, Reason::PointerUnresolved, || {
                format!("the manifest lists the artifact {first}, which is not there")
            });
        }
        Ok(())
    }

    /// Lets the log's own successions say which keys are believed.
    pub(super) fn succeed(&mut self) {
        let handovers = self.documents.succession.read();
        let log = log_of(self.documents, self.expected, &self.objects);
        if let (Some(handovers), Some(log)) = (handovers, log) {
            self.succeeded = keys::succeed(&mut self.ring, handovers, &log, &mut self.findings);
        }
        if !self.expected.own {
            return;
        }
        for place in &self.streamed.successions {
            if self.succeeded.places.binary_search(place).is_err() {
                self.findings.add(CheckId::KeySuccession, Reason::SuccessionBroken, || {
                    format!("event {place} hands the log over, and {SUCCESSION} does not hold it")
                });
            }
        }
    }

    /// Hashes the files that no other check has read.
    pub(super) fn sum_files(&mut self) -> Result<(), AuditError> {
        for (name, _) in self.material.entries() {
            if !self.sums.contains_key(name) {
                let sum = hash_entry(self.material, name)
                    .map_err(|source| AuditError::Read { name: name.clone(), source })?;
                self.sums.insert(name.clone(), sum);
            }
        }
        Ok(())
    }

    pub(super) fn report(mut self) -> Report {
        let answers: Vec<_> = CheckId::ALL.iter().map(|id| (*id, self.answer(*id))).collect();
        let checks = answers.into_iter().map(|(id, answer)| {
            let (input, file, rule) = about(id);
            let digest = self.sums.get(file).map(|sum| sum.sha256);
            answer.row(id, input, digest, rule)
        });
        let checks = checks.collect();
        Report { subject: self.subject(), checks }
    }

    fn subject(&self) -> Subject {
        let manifest = &self.documents.manifest;
        let events = self.streamed.order.events;
        let from = manifest.scope.map_or(self.streamed.order.numbers.start(), |(from, _)| from);
        let checkpoint = self.documents.checkpoint.read().map(|(_, checkpoint)| checkpoint);
        let own = manifest.own.as_ref();
        Subject {
            own: own.is_some(),
            chain_id: manifest.chain_id.clone(),
            evidence_profile: manifest.evidence_profile.clone(),
            from_sequence: (events > 0).then_some(from),
            to_sequence: (from + events).checked_sub(1).filter(|_| events > 0),
            events,
            refusals: self.streamed.refusals,
            last_event_hash: self.streamed.order.last_hash(),
            tree_size: checkpoint.map(|it| it.size).or(own.map(|own| own.tree.0)),
            tree_root: checkpoint.map(|it| it.root).or(own.map(|own| own.tree.1)),
        }
    }

    /// What a check has already found wrong.
    pub(super) fn found(&mut self, id: CheckId) -> Option<Answer> {
        let finding = self.findings.take(id)?;
        self.broken.push(id);
        let text = match finding.more {
            0 => finding.text,
            1 => format!("{}; and one more", finding.text),
            more => format!("{}; and {more} more", finding.text),
        };
        Some(Answer::Fail(finding.reason, text))
    }

    fn answer(&mut self, id: CheckId) -> Answer {
        match id {
            CheckId::BundleFiles => self.bundle_files(),
            CheckId::ManifestSignature => self.manifest_signature(),
            CheckId::ManifestOthers => self.others.clone(),
            CheckId::ProfileDeclared => self.profile_declared(),
            CheckId::ProfileFields => self.profile_fields(),
            CheckId::ProfileFamilies => self.profile_families(),
            CheckId::EventsForm => self.events_form(),
            CheckId::EventsHash => self.events_hash(),
            CheckId::ChainLinks => self.chain_links(),
            CheckId::ChainSequence => self.chain_sequence(),
            CheckId::ChainSegment => self.chain_segment(),
            CheckId::TreeRoot => self.tree_root(),
            CheckId::CheckpointSignature => self.checkpoint_signature(),
            CheckId::CheckpointWitnesses => self.checkpoint_witnesses(),
            CheckId::KeySuccession => self.key_succession(),
            CheckId::Pointers => self.pointers(),
            CheckId::Artifacts => self.artifacts(),
            CheckId::SnapshotsConsistent => self.snapshots_consistent(),
            CheckId::Refusals => self.refusals(),
            CheckId::NcpArtifacts => self.ncp_artifacts(),
            CheckId::Lineage => self.lineage(),
            CheckId::PolicyReplay => self.replayed.clone(),
            CheckId::HistorySince => self.history_since(),
            CheckId::Freshness => self.freshness(),
        }
    }

    pub(super) fn events(&self) -> String {
        counted(self.streamed.order.events, "event", "events")
    }

    fn profile_fields(&mut self) -> Answer {
        if let Some(answer) = self.found(CheckId::ProfileFields) {
            return answer;
        }
        match (self.expected.profile, self.expected.own) {
            (None, _) => unknown_profile(self.expected),
            (Some(_), true) => Answer::Pass(format!("{} have all of them", self.events())),
            (Some(_), false) => Answer::Pass(format!(
                "{} have them; id, actor and correlation_id are read leniently",
                self.events()
            )),
        }
    }

    fn profile_families(&mut self) -> Answer {
        let Some(profile) = self.request.profile.or(self.expected.profile) else {
            return unknown_profile(self.expected);
        };
        let missing = families_missing(profile, &self.streamed.families);
        let names = |families: &[Family]| {
            families.iter().map(|family| family.name()).collect::<Vec<_>>().join(", ")
        };
        if missing.is_empty() {
            return Answer::Pass(format!("{} are there", names(profile.families())));
        }
        let missing = names(&missing);
        let whole = match (&self.documents.manifest.own, self.documents.manifest.scope) {
            (Some(own), Some((from, to))) => from == 0 && to + 1 == own.tree.0,
            _ => true,
        };
        if whole {
            Answer::Fail(Reason::FamilyMissing, format!("no event gives evidence of {missing}"))
        } else {
            let text = format!("no event of this range gives evidence of {missing}");
            Answer::NotChecked(Reason::RangeOnly, text)
        }
    }

    fn events_form(&mut self) -> Answer {
        if let Some(answer) = self.found(CheckId::EventsForm) {
            return answer;
        }
        let events = self.events();
        Answer::Pass(match self.streamed.reformatted {
            0 => format!("{events}, each in its canonical form"),
            some => format!("{events}; {some} written another way, and read by their values"),
        })
    }

    fn events_hash(&mut self) -> Answer {
        if let Some(answer) = self.found(CheckId::EventsHash) {
            return answer;
        }
        if self.expected.hash_profile.is_none() {
            let text = "the hash profile that the manifest names is not known here";
            return Answer::NotChecked(Reason::ProfileUnknown, text.to_owned());
        }
        let (events, without) = (self.streamed.order.events, self.streamed.without_hash);
        if without == 0 {
            Answer::Pass(format!("{} have the hash of their content", self.events()))
        } else if without == events {
            Answer::NotApplicable(
                "the events have no hashes, and the profile asks for none".to_owned(),
            )
        } else {
            Answer::Fail(Reason::FieldMissing, format!("{without} of {events} events have no hash"))
        }
    }

    /// Whether the rows on the chain are about anything.
    fn unchained(&self) -> Option<Answer> {
        let optional =
            self.expected.profile.is_some_and(|it| it.continuity() == Continuity::Optional);
        let none = optional && !self.expected.own && !self.streamed.order.chained;
        none.then(|| {
            Answer::NotApplicable(
                "the events are no chain, and the profile asks for none".to_owned(),
            )
        })
    }

    fn chain_links(&mut self) -> Answer {
        if let Some(answer) = self.found(CheckId::ChainLinks).or_else(|| self.unchained()) {
            return answer;
        }
        match self.streamed.order.unlinked {
            0 => Answer::Pass(format!("{} linked", self.events())),
            places => {
                let places = counted(places, "place", "places");
                let text = format!("at {places} the event before is missing or cannot be read");
                Answer::NotChecked(Reason::Unread, text)
            }
        }
    }

    fn chain_sequence(&mut self) -> Answer {
        if let Some(answer) = self.found(CheckId::ChainSequence) {
            return answer;
        }
        let from = self.streamed.order.numbers.start();
        match self.streamed.order.events {
            0 => Answer::Fail(Reason::FileMissing, "there are no events".to_owned()),
            count => Answer::Pass(format!("{from} to {}", from + count - 1)),
        }
    }

    fn key_succession(&mut self) -> Answer {
        if let Held::Malformed(what) = &self.documents.succession {
            return Answer::Fail(Reason::Malformed, format!("{SUCCESSION}: {what}"));
        }
        if let Some(answer) = self.found(CheckId::KeySuccession) {
            return answer;
        }
        let count = counted(self.succeeded.places.len() as u64, "succession", "successions");
        match (self.succeeded.places.len() as u64, self.succeeded.unknown) {
            (0, _) => Answer::NotApplicable("the log was never handed over".to_owned()),
            (_, 0) => Answer::Pass(format!("{count}, each signed by both keys")),
            (_, some) if self.signed_by_known_key() => Answer::Pass(format!(
                "{count}, each signed by both keys; {some} before the key that you gave"
            )),
            (_, some) => Answer::NotChecked(
                Reason::KeyUnknown,
                format!("{count}, of which {some} hand over from keys that were not given"),
            ),
        }
    }

    fn pointers(&mut self) -> Answer {
        if let Some(answer) = self.found(CheckId::Pointers) {
            return answer;
        }
        if !self.objects.readable {
            return Answer::NotChecked(Reason::Unread, format!("{INDEX} cannot be read"));
        }
        let objects = self.streamed.pointers.sorted().len() as u64;
        Answer::Pass(format!("all lead to {}", counted(objects, "object", "objects")))
    }

    fn artifacts(&mut self) -> Answer {
        if let Some(own) = &self.documents.manifest.own
            && self.objects.readable
            && own.objects != self.objects.count
        {
            let (held, said) = (self.objects.count, own.objects);
            self.findings.add(CheckId::Artifacts, Reason::FileChanged, || {
                format!("{held} objects, and the manifest says {said}")
            });
        }
        self.found(CheckId::Artifacts).unwrap_or_else(|| {
            let objects = counted(self.objects.count, "object", "objects");
            Answer::Pass(format!("{objects} hashed again"))
        })
    }

    fn snapshots_consistent(&mut self) -> Answer {
        if let Some(answer) = self.found(CheckId::SnapshotsConsistent) {
            return answer;
        }
        match self.streamed.actions.len() as u64 {
            0 => Answer::NotApplicable("no event names an action with its policy".to_owned()),
            count => Answer::Pass(format!("{} have one each", counted(count, "action", "actions"))),
        }
    }

    fn refusals(&mut self) -> Answer {
        let held = self.streamed.refusals;
        if let Some(own) = &self.documents.manifest.own
            && own.refusals != held
        {
            let said = own.refusals;
            self.findings.add(CheckId::Refusals, Reason::RefusalsDiffer, || {
                format!("{held} refusals, and the manifest says {said}")
            });
        }
        self.found(CheckId::Refusals).unwrap_or_else(|| {
            Answer::Pass(match held {
                0 => "nothing was refused".to_owned(),
                held => format!("{} whole", counted(held, "refusal", "refusals")),
            })
        })
    }

    fn ncp_artifacts(&mut self) -> Answer {
        if self.expected.profile != Some(EvidenceProfile::Ncp) {
            return Answer::NotApplicable("the profile does not ask for it".to_owned());
        }
        self.found(CheckId::NcpArtifacts)
            .unwrap_or_else(|| Answer::Pass("each names what moved".to_owned()))
    }

    fn lineage(&mut self) -> Answer {
        if let Some(answer) = self.found(CheckId::Lineage) {
            return answer;
        }
        let imports = self.streamed.passages.iter();
        let imports =
            imports.filter(|passage| passage.moved == super::event::Moved::Imported).count();
        match imports as u64 {
            0 => Answer::NotApplicable("nothing was imported".to_owned()),
            count => Answer::Pass(format!(
                "{}, of nothing else than was exported",
                counted(count, "import", "imports")
            )),
        }
    }
}

pub(super) fn unknown_profile(expected: &Expected<'_>) -> Answer {
    let text = match expected.profile_name {
        Some(name) => format!("the profile {name:?} is not known here"),
        None => "the manifest declares no profile".to_owned(),
    };
    Answer::NotChecked(Reason::ProfileUnknown, text)
}

/// `1 event`, `2 events`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// What must hold.
pub(super) fn rule(id: CheckId) -> &'static str {
    let (_, _, rule) = about(id);
    rule
}

/// What a check looks at (shown, and the file whose digest is shown) and what must hold.
fn about(id: CheckId) -> (&'static str, &'static str, &'static str) {
    match id {
        CheckId::BundleFiles => {
            (MANIFEST, MANIFEST, "the files are those that the manifest lists, byte for byte")
        }
        CheckId::ManifestSignature => (MANIFEST, MANIFEST, "a trusted key signed the manifest"),
        CheckId::ManifestOthers => {
            let (file, rule) = ("manifest.json.sig", "a trusted person signed the manifest, too");
            ("manifest.json.sig, manifest.json.asc", file, rule)
        }
        CheckId::ProfileDeclared => {
            ("all documents", MANIFEST, "all declare one profile, no weaker than asked for")
        }
        CheckId::ProfileFields => {
            (EVENTS, EVENTS, "each event has the members that profile and type ask for")
        }
        CheckId::ProfileFamilies => {
            (EVENTS, EVENTS, "the families of events that the profile asks for are there")
        }
        CheckId::EventsForm => (EVENTS, EVENTS, "each event is strict JSON in its canonical form"),
        CheckId::EventsHash => (EVENTS, EVENTS, "each event_hash is that of the event's content"),
        CheckId::ChainLinks => (EVENTS, EVENTS, "each event names the hash of the one before"),
        CheckId::ChainSequence => (EVENTS, EVENTS, "no number is missing, double or out of order"),
        CheckId::ChainSegment => {
            (CHAIN_SEGMENT, CHAIN_SEGMENT, "segment and bundle hash say what the events say")
        }
        CheckId::TreeRoot => {
            (EVENTS, EVENTS, "with the proof, the events lead to the root of the log's tree")
        }
        CheckId::CheckpointSignature => {
            (CHECKPOINT, CHECKPOINT, "a trusted key signed that root for this log")
        }
        CheckId::CheckpointWitnesses => {
            (CHECKPOINT, CHECKPOINT, "as many witnesses cosigned as the policy asks for")
        }
        CheckId::KeySuccession => {
            (SUCCESSION, SUCCESSION, "each new key was named by the one before, in the log")
        }
        CheckId::Pointers => (INDEX, INDEX, "all that is pointed to is in the bundle"),
        CheckId::Artifacts => (INDEX, INDEX, "each object has the digest that it goes by"),
        CheckId::SnapshotsConsistent => {
            (EVENTS, EVENTS, "one action has one policy and one authority")
        }
        CheckId::Refusals => {
            (EVENTS, EVENTS, "each refusal has class, code, subject, policy and authority")
        }
        CheckId::NcpArtifacts => (EVENTS, EVENTS, "no-control events name their artifact"),
        CheckId::Lineage => (EVENTS, EVENTS, "what an action imports is what it exported"),
        CheckId::PolicyReplay => {
            (INDEX, INDEX, "each decision of a policy is reached again from what is recorded")
        }
        CheckId::HistorySince => {
            (CONSISTENCY, CONSISTENCY, "the log goes on from the checkpoint that you kept")
        }
        CheckId::Freshness => (CHECKPOINT, CHECKPOINT, "something tells how recent the export is"),
    }
}
