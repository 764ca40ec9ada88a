//! Witness policies: how many of which witnesses must have seen a checkpoint (c2sp.org/tlog-policy).

use std::str::FromStr;

pub use crate::cosignature::{CosignatureAnswer, cosign};

use crate::key::{KeyError, OtherKey, VerifyingKey, WitnessKey};
use crate::note::{Note, SignatureAnswer};

/// The largest policy that is read, in bytes.
pub const MAX_POLICY_BYTES: usize = 1_000_000;
/// The most logs, witnesses and groups that a policy may name, each.
const MAX_NAMES: usize = 256;

/// Which logs and witnesses a verifier believes, and how many witnesses it asks for.
///
/// ```text
/// log       example.com/log+4f2a…
/// witness   W1  w1.example.org+9c01…
/// witness   W2  w2.example.org+77ab…
/// witness   W3  w3.example.org+03d2…
/// group     two-of-three  2  W1 W2 W3
/// quorum    two-of-three
/// ```
///
/// Names are bytes: the form says nothing about their encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessPolicy {
    logs: Vec<PolicyKey<VerifyingKey>>,
    witnesses: Vec<(Vec<u8>, PolicyKey<WitnessKey>)>,
    groups: Vec<Group>,
    quorum: Rule,
}

/// Who must have seen a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Nobody.
    None,
    /// This witness, or enough of this group.
    Member(Member),
}

/// A key that can be checked here, or one of a kind that is only known by name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PolicyKey<K> {
    Known(K),
    Other(OtherKey),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: Vec<u8>,
    threshold: usize,
    members: Vec<Member>,
}

/// A witness or a group, by its place in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// A line of a policy that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the witness policy cannot be used")]
pub struct PolicyError {
    /// The line, from 1 on; the line behind the last if something is missing.
    pub line: usize,
    /// Why.
    #[source]
    pub problem: PolicyProblem,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyProblem {
    /// The policy is too large.
    #[error("the policy has more than {MAX_POLICY_BYTES} bytes or {MAX_NAMES} names of a kind")]
    TooLarge,
    /// A control character.
    #[error("control characters other than tab and newline are not allowed")]
    Text,
    /// None of the four kinds of lines, or too few or too many words.
    #[error("not a line of the form `log`, `witness`, `group` or `quorum`")]
    Form,
    /// A key that cannot be read.
    #[error("the key is malformed")]
    Key(#[source] KeyError),
    /// The same key stands twice.
    #[error("the same key stands twice")]
    DuplicateKey,
    /// A name that is taken, or means no witness at all.
    #[error("the name is taken")]
    Name,
    /// A name that no line before defines, or that already belongs to a group.
    #[error("a member is not defined before, or belongs to a group already")]
    Member,
    /// A threshold that is not between 1 and the number of members.
    #[error("a group asks for `all`, `any`, or a number from 1 to the number of its members")]
    Threshold,
    /// No quorum, or a second one.
    #[error("a policy has exactly one quorum, of a name that a line before defines")]
    Quorum,
}

/// What a policy says about a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    /// Whether enough witnesses cosigned, one of the policy's logs signed (if it names any), and no
    /// signature of a key in the policy is bad.
    pub met: bool,
    /// Whether one of the policy's logs signed. None if it names no log.
    pub log: Option<SignatureAnswer>,
    /// Each witness of the policy, in its order.
    pub witnesses: Vec<WitnessReport>,
}

/// What one witness says about a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessReport {
    /// Its name in the policy; bytes that are not UTF-8 are replaced.
    pub name: String,
    /// `<key name>+<8 hex digits>`.
    pub key_id: String,
    /// What it says. None if its key is of a kind that cannot be checked here, which never counts.
    pub answer: Option<CosignatureAnswer>,
}

impl WitnessPolicy {
    /// Reads a policy.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        let at = |line, problem| PolicyError { line, problem };
        if bytes.len() > MAX_POLICY_BYTES {
            return Err(at(1, PolicyProblem::TooLarge));
        }
        let mut reader = Reader::default();
        let mut lines = 0;
        for line in bytes.split(|byte| *byte == b'\n') {
            lines += 1;
            reader.line(line).map_err(|problem| at(lines, problem))?;
        }
        let Reader { logs, witnesses, groups, quorum, .. } = reader;
        let quorum = quorum.ok_or_else(|| at(lines, PolicyProblem::Quorum))?;
        Ok(Self { logs, witnesses, groups, quorum })
    }

    /// What the policy says about a checkpoint. Whether its log is believed for other reasons, and
    /// when its witnesses saw it, is for the caller.
    pub fn judge(&self, checkpoint: &Note) -> Quorum {
        let witnesses: Vec<_> = self.witnesses.iter().map(|one| report(one, checkpoint)).collect();
        let bad = |report: &WitnessReport| report.answer == Some(CosignatureAnswer::Bad);
        let log = self.log(checkpoint);
        let seen = match self.quorum {
            Rule::None => true,
            Rule::Member(member) => self.has_seen(member, &witnesses),
        };
        let met =
            seen && matches!(log, None | Some(SignatureAnswer::Good)) && !witnesses.iter().any(bad);
        Quorum { met, log, witnesses }
    }

    fn log(&self, checkpoint: &Note) -> Option<SignatureAnswer> {
        if self.logs.is_empty() {
            return None;
        }
        let mut answer = SignatureAnswer::Absent;
        for log in &self.logs {
            let PolicyKey::Known(key) = log else { continue };
            match checkpoint.check(key) {
                SignatureAnswer::Absent => {}
                SignatureAnswer::Good => answer = SignatureAnswer::Good,
                SignatureAnswer::Bad => return Some(SignatureAnswer::Bad),
            }
        }
        Some(answer)
    }

    /// Groups name only what stands before them, so this ends; each name belongs to one group, so
    /// nothing is visited twice.
    fn has_seen(&self, member: Member, witnesses: &[WitnessReport]) -> bool {
        match member {
            Member::Witness(index) => witnesses.get(index).is_some_and(|report| {
                matches!(report.answer, Some(CosignatureAnswer::Good { .. }))
            }),
            Member::Group(index) => self.groups.get(index).is_some_and(|group| {
                let seen = group.members.iter().filter(|one| self.has_seen(**one, witnesses));
                seen.count() >= group.threshold
            }),
        }
    }
}

fn report((name, key): &(Vec<u8>, PolicyKey<WitnessKey>), checkpoint: &Note) -> WitnessReport {
    let (key_id, answer) = match key {
        PolicyKey::Known(key) => (key.key_id(), Some(key.check(checkpoint))),
        PolicyKey::Other(key) => (key.key_id(), None),
    };
    WitnessReport { name: String::from_utf8_lossy(name).into_owned(), key_id, answer }
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    logs: Vec<PolicyKey<VerifyingKey>>,
    witnesses: Vec<(Vec<u8>, PolicyKey<WitnessKey>)>,
    groups: Vec<Group>,
    /// Those that belong to a group.
    taken: Vec<Member>,
    quorum: Option<Rule>,
}

impl Reader {
    fn line(&mut self, line: &[u8]) -> Result<(), PolicyProblem> {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(PolicyProblem::Text);
        }
        let words: Vec<_> = line.split(blank).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", vkey] | [b"log", vkey, _] => self.log(vkey),
            [b"witness", name, vkey] | [b"witness", name, vkey, _] => self.witness(name, vkey),
            [b"group", name, threshold, members @ ..] => self.group(name, threshold, members),
            [b"quorum", name] => self.quorum(name),
            _ => Err(PolicyProblem::Form),
        }
    }

    fn log(&mut self, vkey: &[u8]) -> Result<(), PolicyProblem> {
        let key = policy_key::<VerifyingKey>(vkey)?;
        let bytes = |key: &PolicyKey<VerifyingKey>| match key {
            PolicyKey::Known(key) => key.as_bytes().to_vec(),
            PolicyKey::Other(key) => key.as_bytes().to_vec(),
        };
        if self.logs.iter().any(|other| bytes(other) == bytes(&key)) {
            return Err(PolicyProblem::DuplicateKey);
        }
        push(&mut self.logs, key)
    }

    fn witness(&mut self, name: &[u8], vkey: &[u8]) -> Result<(), PolicyProblem> {
        let key = policy_key::<WitnessKey>(vkey)?;
        let bytes = |key: &PolicyKey<WitnessKey>| match key {
            PolicyKey::Known(key) => key.as_bytes().to_vec(),
            PolicyKey::Other(key) => key.as_bytes().to_vec(),
        };
        if self.witnesses.iter().any(|(_, other)| bytes(other) == bytes(&key)) {
            return Err(PolicyProblem::DuplicateKey);
        }
        self.new_name(name)?;
        push(&mut self.witnesses, (name.to_vec(), key))
    }

    fn group(
        &mut self,
        name: &[u8],
        threshold: &[u8],
        members: &[&[u8]],
    ) -> Result<(), PolicyProblem> {
        self.new_name(name)?;
        let mut found = Vec::with_capacity(members.len().min(2 * MAX_NAMES));
        for member in members {
            let member = self.find(member).filter(|one| !self.taken.contains(one));
            let member = member.ok_or(PolicyProblem::Member)?;
            self.taken.push(member);
            found.push(member);
        }
        let threshold = match threshold {
            b"all" => found.len(),
            b"any" => 1,
            digits => number(digits).ok_or(PolicyProblem::Threshold)?,
        };
        if threshold == 0 || threshold > found.len() {
            return Err(PolicyProblem::Threshold);
        }
        push(&mut self.groups, Group { name: name.to_vec(), threshold, members: found })
    }

    fn quorum(&mut self, name: &[u8]) -> Result<(), PolicyProblem> {
        if self.quorum.is_some() {
            return Err(PolicyProblem::Quorum);
        }
        let rule = match name {
            b"none" => Rule::None,
            _ => Rule::Member(self.find(name).ok_or(PolicyProblem::Quorum)?),
        };
        self.quorum = Some(rule);
        Ok(())
    }

    /// Witnesses and groups share their names, and `none` is no name.
    fn new_name(&self, name: &[u8]) -> Result<(), PolicyProblem> {
        if name == b"none" || self.find(name).is_some() {
            return Err(PolicyProblem::Name);
        }
        Ok(())
    }

    fn find(&self, name: &[u8]) -> Option<Member> {
        let witness = self.witnesses.iter().position(|(other, _)| other == name);
        let group = || self.groups.iter().position(|group| group.name == name);
        witness.map(Member::Witness).or_else(|| group().map(Member::Group))
    }
}

fn push<T>(list: &mut Vec<T>, one: T) -> Result<(), PolicyProblem> {
    if list.len() == MAX_NAMES {
        return Err(PolicyProblem::TooLarge);
    }
    list.push(one);
    Ok(())
}

/// Decimal digits without leading zeros.
fn number(digits: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(digits).ok()?;
    let number: usize = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn policy_key<K: FromStr<Err = KeyError>>(vkey: &[u8]) -> Result<PolicyKey<K>, PolicyProblem> {
    let text = std::str::from_utf8(vkey).map_err(|_| PolicyProblem::Key(KeyError::Form))?;
    match text.parse() {
        Ok(key) => Ok(PolicyKey::Known(key)),
        // One of another kind may be known by its name at least.
        Err(error @ KeyError::Algorithm(_)) => match text.parse() {
            Ok(key) => Ok(PolicyKey::Other(key)),
            Err(KeyError::Algorithm(_)) => Err(PolicyProblem::Key(error)),
            Err(error) => Err(PolicyProblem::Key(error)),
        },
        Err(error) => Err(PolicyProblem::Key(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;
    use base64ct::{Base64, Encoding};
    use proptest::prelude::*;
    use std::fmt::Write;

    fn key(seed: u8) -> SigningKey {
        SigningKey::generate(format!("w{seed}").parse().unwrap(), &[seed; 32]).unwrap()
    }

    fn witness(seed: u8) -> WitnessKey {
        WitnessKey::new(key(seed).verifying_key().clone())
    }

    /// A checkpoint of the log 100, cosigned by these.
    fn seen_by(seeds: &[u8]) -> Note {
        let mut note = Note::sign("log\n1\nroot\n", &[&key(100)]).unwrap();
        for seed in seeds {
            note.signatures.push(cosign(&key(*seed), &note.text, u64::from(*seed)));
        }
        note
    }

    fn ml_dsa() -> String {
        let public = [7u8; 1_312];
        let hash = crate::digest::Digest::of(&[b"pq\n\x06".as_slice(), &public].concat());
        let material = [&[6], public.as_slice()].concat();
        format!("pq+{}+{}", &hash.to_string()[..8], Base64::encode_string(&material))
    }

    fn example() -> String {
        let log = key(100);
        let mut text = format!("# whom we ask\nlog {}\n\n", log.verifying_key());
        for seed in 1..=6 {
            writeln!(text, "witness W{seed}\t{} https://w{seed}.example", witness(seed)).unwrap();
        }
        text + "group X 2 W1 W2 W3\n  group Y any W4 W5 W6 \ngroup X-and-Y all X Y\nquorum X-and-Y\n"
    }

    #[test]
    fn the_example_of_the_specification_asks_for_both_groups() {
        let policy = WitnessPolicy::parse(example().as_bytes()).unwrap();
        for (seeds, met) in [
            (vec![1, 2, 4], true),
            (vec![1, 2, 3, 4, 5, 6], true),
            (vec![2, 3, 6], true),
            (vec![1, 4], false),
            (vec![1, 2, 3], false),
            (vec![4, 5, 6], false),
            (vec![1, 1, 4], false),
            (vec![], false),
            (vec![7, 8, 9], false),
        ] {
            let quorum = policy.judge(&seen_by(&seeds));
            assert_eq!(quorum.met, met, "{seeds:?}");
            assert_eq!(quorum.log, Some(SignatureAnswer::Good));
        }
        let quorum = policy.judge(&seen_by(&[2]));
        assert_eq!(quorum.witnesses[1].answer, Some(CosignatureAnswer::Good { time: 2 }));
        assert_eq!(quorum.witnesses[0].answer, Some(CosignatureAnswer::Absent));
        assert_eq!(quorum.witnesses[1].name, "W2");
        assert_eq!(quorum.witnesses[1].key_id, witness(2).key_id());
    }

    #[test]
    fn a_bad_signature_spoils_a_quorum() {
        let policy = WitnessPolicy::parse(example().as_bytes()).unwrap();
        let mut note = seen_by(&[1, 2, 3, 4]);
        note.signatures[3].signature[20] ^= 1;
        let quorum = policy.judge(&note);
        assert_eq!(quorum.witnesses[2].answer, Some(CosignatureAnswer::Bad));
        assert!(!quorum.met);
        let mut note = seen_by(&[1, 2, 4]);
        note.signatures[0].signature[20] ^= 1;
        let quorum = policy.judge(&note);
        assert_eq!((quorum.met, quorum.log), (false, Some(SignatureAnswer::Bad)));
        let mut note = seen_by(&[1, 2, 4]);
        note.signatures.remove(0);
        let quorum = policy.judge(&note);
        assert_eq!((quorum.met, quorum.log), (false, Some(SignatureAnswer::Absent)));
    }

    #[test]
    fn a_policy_may_ask_for_one_witness_or_none() {
        let none = WitnessPolicy::parse(b"quorum none\n").unwrap();
        let quorum = none.judge(&seen_by(&[]));
        assert_eq!((quorum.met, quorum.log), (true, None));
        let one = format!("witness none-such {}\nquorum none-such", witness(1));
        let one = WitnessPolicy::parse(one.as_bytes()).unwrap();
        assert!(one.judge(&seen_by(&[1])).met);
        assert!(!one.judge(&seen_by(&[2])).met);
    }

    #[test]
    fn a_witness_that_cannot_be_checked_never_counts() {
        let text = format!(
            "witness A {}\nwitness B {}\ngroup G all A B\nquorum G\n",
            witness(1),
            ml_dsa()
        );
        let policy = WitnessPolicy::parse(text.as_bytes()).unwrap();
        let mut note = seen_by(&[1]);
        let id = ml_dsa().parse::<OtherKey>().unwrap().key_id();
        note.signatures.push(crate::note::NoteSignature {
            name: "pq".parse().unwrap(),
            id: u32::from_str_radix(&id[3..], 16).unwrap().to_be_bytes(),
            signature: vec![1; 2_428],
        });
        let quorum = policy.judge(&note);
        assert_eq!(quorum.witnesses[1].answer, None);
        assert!(!quorum.met);
        let any = text.replace("all", "any");
        assert!(WitnessPolicy::parse(any.as_bytes()).unwrap().judge(&note).met);
        let log = format!("log {}\nquorum none\n", ml_dsa());
        let log = WitnessPolicy::parse(log.as_bytes()).unwrap().judge(&note);
        assert_eq!((log.met, log.log), (false, Some(SignatureAnswer::Absent)));
    }

    #[test]
    fn lines_that_are_not_understood_refuse_the_policy() {
        use PolicyProblem as P;
        let (w1, w2) = (format!("witness A {}", witness(1)), format!("witness B {}", witness(2)));
        let log = format!("log {}", key(1).verifying_key());
        for (text, line, problem) in [
            (String::new(), 1, P::Quorum),
            ("# no quorum\n".to_owned(), 2, P::Quorum),
            ("quorum none\nquorum none".to_owned(), 2, P::Quorum),
            (format!("quorum A\n{w1}"), 1, P::Quorum),
            ("quorum".to_owned(), 1, P::Form),
            ("quorum a b".to_owned(), 1, P::Form),
            ("witnesses A".to_owned(), 1, P::Form),
            (format!("{log} url more"), 1, P::Form),
            ("log".to_owned(), 1, P::Form),
            ("group G".to_owned(), 1, P::Form),
            ("quorum none\r\n".to_owned(), 1, P::Text),
            (format!("log {}", witness(1)), 1, P::Key(KeyError::Algorithm(4))),
            (format!("witness A {}", key(1).verifying_key()), 1, P::Key(KeyError::Algorithm(1))),
            (format!("witness A {}", ml_dsa().replace("pq", "qp")), 1, P::Key(KeyError::Hash)),
            ("witness A x".to_owned(), 1, P::Key(KeyError::Form)),
            (format!("{log}\n{log}"), 2, P::DuplicateKey),
            (format!("{w1}\n{}", w1.replace(" A ", " B ")), 2, P::DuplicateKey),
            (format!("{w1}\n{}", w2.replace(" B ", " A ")), 2, P::Name),
            (w1.replace(" A ", " none "), 1, P::Name),
            (format!("{w1}\ngroup A any A"), 2, P::Name),
            (format!("{w1}\ngroup none any A"), 2, P::Name),
            (format!("{w1}\ngroup G any G"), 2, P::Member),
            (format!("{w1}\ngroup G any B\n{w2}"), 2, P::Member),
            (format!("{w1}\ngroup G all A A"), 2, P::Member),
            (format!("{w1}\ngroup G any A\ngroup H any A"), 3, P::Member),
            (format!("{w1}\ngroup G any none"), 2, P::Member),
            (format!("{w1}\ngroup G any"), 2, P::Threshold),
            (format!("{w1}\ngroup G all"), 2, P::Threshold),
            (format!("{w1}\ngroup G 0 A"), 2, P::Threshold),
            (format!("{w1}\ngroup G 2 A"), 2, P::Threshold),
            (format!("{w1}\ngroup G 01 A"), 2, P::Threshold),
            (format!("{w1}\ngroup G +1 A"), 2, P::Threshold),
            (format!("{w1}\ngroup G most A"), 2, P::Threshold),
            (" ".repeat(MAX_POLICY_BYTES + 1), 1, P::TooLarge),
        ] {
            let shown: String = text.chars().take(200).collect();
            let refused = WitnessPolicy::parse(text.as_bytes());
            assert_eq!(refused, Err(PolicyError { line, problem }), "{shown}");
        }
    }

    #[test]
    fn names_are_bytes() {
        let mut text = b"witness \xFF\xFE ".to_vec();
        text.extend(witness(1).to_string().bytes());
        text.extend(b"\nquorum \xFF\xFE\n");
        assert!(WitnessPolicy::parse(&text).unwrap().judge(&seen_by(&[1])).met);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_policy_or_an_error(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
            words in prop::collection::vec(
                prop::sample::select(vec!["log", "witness", "group", "quorum", "none", "any", "all", "1", "A", "B", "\n", "#"]),
                0..30,
            ),
        ) {
            let _ = WitnessPolicy::parse(&bytes);
            let _ = WitnessPolicy::parse(words.join(" ").as_bytes());
        }

        #[test]
        fn a_group_asks_for_as_many_as_it_says(count in 1..8usize, threshold in 1..8usize, seen in prop::collection::btree_set(1..8u8, 0..8)) {
            prop_assume!(threshold <= count);
            let (mut lines, mut names) = (String::new(), String::new());
            for seed in 1..=u8::try_from(count).unwrap() {
                writeln!(lines, "witness W{seed} {}", witness(seed)).unwrap();
                write!(names, " W{seed}").unwrap();
            }
            let text = format!("{lines}group G {threshold}{names}\nquorum G\n");
            let policy = WitnessPolicy::parse(text.as_bytes()).unwrap();
            let note = seen_by(&seen.iter().copied().collect::<Vec<_>>());
            let counted = seen.iter().filter(|seed| usize::from(**seed) <= count).count();
            prop_assert_eq!(policy.judge(&note).met, counted >= threshold);
        }
    }
}
