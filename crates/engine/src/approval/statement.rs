//! What an approver signs, and what is kept of it.

use std::fmt::Write;

use carnet_ledger::detached::{
    APPROVAL_NAMESPACE, Believed, DetachedAnswer, SignatureForm, check_detached,
};
use carnet_ledger::trust::TrustFile;
use carnet_ledger::{Digest, EventTime};
use serde::{Deserialize, Serialize};

use carnet_process::Approval;

/// The first line of a statement: no other text that Carnet signs begins like it.
const HEADER: &str = "carnet approval v1";
/// What the object of an approval calls one that nobody signed.
const NAMED: &str = "named";

/// What is approved, by whom and for how long. [`Statement::text`] is what a key signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What is approved: the name of an approval in the plan, `amendment`, or `skip:STEP`.
    pub subject: String,
    /// The digest of the plan.
    pub plan: Digest,
    /// The digest of the gates with their verdicts, as the approver saw them.
    pub gate_table: Digest,
    /// The id of the run.
    pub run: String,
    /// Who approves, as the trust file names them.
    pub approver: String,
    /// When it was given.
    pub at: EventTime,
    /// Until when it counts.
    pub expires: EventTime,
}

impl Statement {
    /// The statement as text: a line for each part, in a fixed order.
    pub fn text(&self) -> String {
        let Self { subject, plan, gate_table, run, approver, at, expires } = self;
        let mut text = format!("{HEADER}\n{subject}\n{plan}\n{gate_table}\n{run}\n{approver}\n");
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "{at}\n{expires}");
        text
    }

    /// Whether no part holds a line break or another control character: then its text has one
    /// meaning only.
    pub(super) fn is_one_line_each(&self) -> bool {
        [&self.subject, &self.run, &self.approver]
            .into_iter()
            .all(|part| !part.is_empty() && !part.chars().any(char::is_control))
    }

    /// The statement that an approval of this run stands for.
    pub(super) fn of(approval: &Approval, run: &str) -> Self {
        Self {
            subject: approval.subject.clone(),
            plan: approval.plan,
            gate_table: approval.gate_table,
            run: run.to_owned(),
            approver: approval.approver.clone(),
            at: approval.at,
            expires: approval.expires,
        }
    }
}

/// A signature over the text of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// Its form.
    pub form: SignatureForm,
    /// The armoured signature.
    pub signature: String,
    /// The public key, where the trust file has its fingerprint alone.
    pub public_key: Option<String>,
}

/// A statement with its signature, as the evidence keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    statement: String,
    /// `ssh`, `openpgp` or `named`.
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
}

impl Stored {
    pub(super) fn new(statement: &Statement, signature: Option<&Signature>) -> Self {
        Self {
            statement: statement.text(),
            kind: signature.map_or(NAMED, |signature| signature.form.name()).to_owned(),
            signature: signature.map(|signature| signature.signature.clone()),
            public_key: signature.and_then(|signature| signature.public_key.clone()),
        }
    }

    /// The key that signed exactly this statement, if it is one that the trust file believes of the
    /// approver at this time; `None` for one that nobody signed, and why not for every other.
    pub(super) fn key(
        &self,
        statement: &Statement,
        trust: Option<&TrustFile>,
        now: EventTime,
    ) -> Result<Option<String>, String> {
        if self.statement != statement.text() {
            return Err("what was signed is another statement".to_owned());
        }
        let (Some(signature), true) = (&self.signature, self.kind != NAMED) else {
            let bare = self.kind == NAMED && self.signature.is_none();
            return if bare { Ok(None) } else { Err("it has no signature".to_owned()) };
        };
        let form = SignatureForm::ALL.into_iter().find(|form| form.name() == self.kind);
        let form = form.ok_or_else(|| format!("{:?} is no kind of signature", self.kind))?;
        let trust = trust.ok_or("the plan names no trust file")?;
        let believed = Believed {
            trust,
            openpgp_keys: self.public_key.as_ref().map(String::as_bytes),
            namespace: APPROVAL_NAMESPACE,
            by: Some(&statement.approver),
            now,
        };
        let text = self.statement.as_bytes();
        let answer = check_detached(form, Some(signature.as_bytes()), text, &believed);
        match answer.map_err(|error| error.to_string())? {
            DetachedAnswer::Good { key, .. } => Ok(Some(key)),
            DetachedAnswer::UnknownKey { key, why } => {
                Err(format!("the key {key} does not count: {why}"))
            }
            DetachedAnswer::Bad { why } => Err(format!("the signature is bad: {why}")),
            DetachedAnswer::Missing => Err("it has no signature".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> Statement {
        let time = |millis| EventTime::from_unix_millis(millis).unwrap();
        Statement {
            subject: "cutover".to_owned(),
            plan: Digest([1; 32]),
            gate_table: Digest([2; 32]),
            run: "run".to_owned(),
            approver: "ops@example.org".to_owned(),
            at: time(0),
            expires: time(60_000),
        }
    }

    #[test]
    fn the_text_is_fixed() {
        let text = format!(
            "carnet approval v1\ncutover\n{}\n{}\nrun\nops@example.org\n\
             1970-01-01T00:00:00.000Z\n1970-01-01T00:01:00.000Z\n",
            "01".repeat(32),
            "02".repeat(32)
        );
        assert_eq!(statement().text(), text);
        assert!(statement().is_one_line_each());
        for wrong in ["", "a\nb", "a\u{1b}b"] {
            let statement = Statement { approver: wrong.to_owned(), ..statement() };
            assert!(!statement.is_one_line_each(), "{wrong:?}");
        }
    }

    #[test]
    fn what_nobody_signed_has_no_key_and_half_of_a_signature_is_none() {
        let (now, trust) = (statement().at, TrustFile::default());
        let named = Stored::new(&statement(), None);
        assert_eq!(named.key(&statement(), None, now), Ok(None));
        let other = Statement { approver: "eve".to_owned(), ..statement() };
        assert!(named.key(&other, None, now).is_err());
        for (kind, signature) in
            [("ssh", None), ("named", Some("x")), ("other", Some("x")), ("ssh", Some("x"))]
        {
            let signature = signature.map(str::to_owned);
            let stored = Stored { kind: kind.to_owned(), signature, ..named.clone() };
            assert!(stored.key(&statement(), Some(&trust), now).is_err(), "{stored:?}");
        }
    }
}
