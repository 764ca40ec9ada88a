//! What is wrong with an evidence file as a file.

use thiserror::Error;

/// Why a file, or a line, is no evidence of this run. The text follows the name of the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// No bytes.
    #[error("is empty")]
    Empty,
    /// More bytes than are read.
    #[error("has more than {max} bytes, which are the most")]
    TooLarge {
        /// How many are read.
        max: usize,
    },
    /// More lines, or more different things, than are counted.
    #[error("has more than {max} {what}, which are the most")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many are counted.
        max: usize,
    },
    /// Not UTF-8.
    #[error("is no UTF-8 from byte {at} on")]
    NotUtf8 {
        /// The first byte that is none.
        at: usize,
    },
    /// A byte order mark.
    #[error("begins with a UTF-8 byte order mark")]
    ByteOrderMark,
    /// Lines that end in CR LF, or a bare CR.
    #[error("has a carriage return in line {line}")]
    CarriageReturn {
        /// Which line, from 1.
        line: usize,
    },
    /// It ends in the middle.
    #[error("is cut off after {bytes} bytes")]
    Truncated {
        /// How many there are.
        bytes: usize,
    },
    /// Not JSON.
    #[error("is no JSON, at line {line} column {column}")]
    NotJson {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A key stands twice in one object.
    #[error("has the key `{key}` twice in one object")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// A key is missing.
    #[error("lacks the field `{key}` at {at}")]
    MissingField {
        /// Where: a JSON pointer, or `its root`.
        at: String,
        /// The key.
        key: String,
    },
    /// A key is there that the form does not have.
    #[error("has the unknown field `{key}` at {at}")]
    UnknownField {
        /// Where.
        at: String,
        /// The key.
        key: String,
    },
    /// A key is there under another name than the form has: nobody who reads it would find it.
    #[error("has the field `{found}` at {at}, which must be named `{must}`")]
    RenamedField {
        /// Where.
        at: String,
        /// The key that is there.
        found: String,
        /// The key that must be there.
        must: String,
    },
    /// A value of another type.
    #[error("has a value of another type at {at}: {what}")]
    WrongType {
        /// Where.
        at: String,
        /// What is wrong.
        what: String,
    },
    /// A value that the form does not take.
    #[error("has a wrong value at {at}: {what}")]
    WrongValue {
        /// Where.
        at: String,
        /// What is wrong.
        what: String,
    },
    /// It is of another run.
    #[error("belongs to another run: `{key}` is {found}, and must be {must}")]
    OtherRun {
        /// Which id.
        key: String,
        /// The id that is there.
        found: String,
        /// The id of the run.
        must: String,
    },
    /// It was written before the run began.
    #[error("is older than the run: `{key}` is {found}, and the run began at {began}")]
    BeforeRun {
        /// Which time.
        key: String,
        /// The time that is there.
        found: String,
        /// When the run began.
        began: String,
    },
    /// It was written in the future.
    #[error(
        "lies in the future: `{key}` is {found}, and it is {now} (a skew of {skew_s} s is let pass)"
    )]
    InFuture {
        /// Which time.
        key: String,
        /// The time that is there.
        found: String,
        /// What the clock shows.
        now: String,
        /// How far clocks may differ, in seconds.
        skew_s: u32,
    },
    /// A receipt stands twice.
    #[error("has the receipt {id} twice")]
    ReceiptTwice {
        /// Its id.
        id: String,
    },
    /// One receipt id for two different events.
    #[error(
        "has the receipt id {id} for two different events: it leaves out what tells them apart"
    )]
    ReceiptsCollapsed {
        /// The id.
        id: String,
    },
    /// One event was admitted twice.
    #[error("admits the event {event} twice")]
    AdmittedTwice {
        /// Class and id of the event.
        event: String,
    },
    /// Two admitted events lie in one place of the broker, which holds one.
    #[error("has an admitted event in {place} twice, which is the place of one")]
    PlaceTwice {
        /// Topic, partition and offset.
        place: String,
    },
}

impl Fault {
    /// The name, which stays.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge { .. } => "too_large",
            Self::TooMany { .. } => "too_many",
            Self::NotUtf8 { .. } => "not_utf8",
            Self::ByteOrderMark => "byte_order_mark",
            Self::CarriageReturn { .. } => "carriage_return",
            Self::Truncated { .. } => "truncated",
            Self::NotJson { .. } => "not_json",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::MissingField { .. } => "missing_field",
            Self::UnknownField { .. } => "unknown_field",
            Self::RenamedField { .. } => "renamed_field",
            Self::WrongType { .. } => "wrong_type",
            Self::WrongValue { .. } => "wrong_value",
            Self::OtherRun { .. } => "other_run",
            Self::BeforeRun { .. } => "before_run",
            Self::InFuture { .. } => "in_future",
            Self::ReceiptTwice { .. } => "receipt_twice",
            Self::ReceiptsCollapsed { .. } => "receipts_collapsed",
            Self::AdmittedTwice { .. } => "admitted_twice",
            Self::PlaceTwice { .. } => "place_twice",
        }
    }
}
