//! What a verification answers: a row a check, and what they amount to.

use carnet_ledger::Digest;
use carnet_ledger::audit::{CheckVerdict, Overall, Report};
use carnet_model::Code;
use carnet_model::portability::BundleManifest;
use serde::{Serialize, Serializer};

use super::fault::BundleFault;

/// Defines the checks: each has one name and says what must hold.
macro_rules! checks {
    ($($(#[$doc:meta])* $check:ident = $name:literal, $rule:literal;)*) => {
        /// One check of a bundle. Reports list them in this order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum BundleCheckId { $($(#[$doc])* $check,)* }

        impl BundleCheckId {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$check),*];

            /// The name in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$check => $name,)* }
            }

            /// What must hold.
            pub const fn rule(self) -> &'static str {
                match self { $(Self::$check => $rule,)* }
            }
        }
    };
}

checks! {
    /// It is a layout of OCI with one bundle.
    Layout = "layout", "it is a layout of OCI that holds one bundle of a version that is read";
    /// No blob is missing.
    BlobsPresent = "blobs.present", "every blob that the image manifest names is there";
    /// No blob is longer or shorter.
    BlobsSize = "blobs.size", "every blob has the size that the image manifest announces";
    /// No blob is another one.
    BlobsDigest = "blobs.digest", "every blob has the digest that it goes by";
    /// The manifest can be read.
    ManifestForm = "manifest.form", "manifest.json is in its one canonical form, and of a version that is read";
    /// A person signed it.
    ManifestSignature = "manifest.signature", "a trusted person signed manifest.json";
    /// The layers are those of the manifest.
    ContentsListed = "contents.listed", "the layers are the contents that the manifest lists, in its order";
    /// Encrypted contents are what they were.
    ContentsDecrypted = "contents.decrypted", "every encrypted content decrypts to the digest that the manifest names";
    /// No layer is a bomb.
    ImageLayers = "image.layers", "no layer of a container image gives many more bytes than it has";
    /// The root is the one of the contents.
    ContentRoot = "content_root", "the content root is that of the contents";
    /// The rules are inside.
    PolicySnapshot = "policy.snapshot", "the policy snapshot of the manifest is inside";
    /// The authorities are inside.
    AuthoritySnapshot = "authority.snapshot", "the authority snapshot of the manifest is inside";
    /// Governance is said once.
    Governance = "governance", "governance.json says what the manifest says";
    /// The evidence holds.
    Evidence = "evidence", "the evidence inside holds, by a key that the verifier brings";
    /// The evidence is the one that the manifest speaks of.
    EvidenceScope = "evidence.scope", "the evidence is of the range and the profile that the manifest names";
    /// The evidence speaks of this content.
    EvidenceContent = "evidence.content", "the last event of the evidence names the content root";
}

impl Serialize for BundleCheckId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleRow {
    /// Which check.
    pub id: BundleCheckId,
    /// What must hold.
    pub rule: &'static str,
    /// Whether it does.
    pub verdict: CheckVerdict,
    /// The code of what is wrong or missing.
    #[serde(serialize_with = "code_name", skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What was found, in words.
    pub reason: String,
}

#[expect(clippy::ref_option, reason = "serde hands members over by reference")]
fn code_name<S: Serializer>(code: &Option<Code>, serializer: S) -> Result<S::Ok, S::Error> {
    code.map(Code::name).serialize(serializer)
}

/// All answers about one bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BundleReport {
    /// The id of the bundle.
    pub manifest_digest: Digest,
    /// What it says about itself, if that can be read.
    #[serde(skip)]
    pub manifest: Option<BundleManifest>,
    /// How many blobs were hashed.
    pub blobs: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// One row a check, in the order of [`BundleCheckId`].
    pub checks: Vec<BundleRow>,
    /// What the audit of the evidence inside says, if it could be begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Report>,
}

impl BundleReport {
    /// The row of a check.
    pub fn row(&self, id: BundleCheckId) -> Option<&BundleRow> {
        self.checks.iter().find(|row| row.id == id)
    }

    /// The first row that failed, or else the first that was not checked.
    pub fn first_open(&self) -> Option<&BundleRow> {
        let of = |verdict| self.checks.iter().find(move |row| row.verdict == verdict);
        of(CheckVerdict::Fail).or_else(|| of(CheckVerdict::NotChecked))
    }

    /// What the rows amount to.
    pub fn overall(&self) -> Overall {
        let Some(row) = self.first_open() else { return Overall::Verified };
        if row.verdict == CheckVerdict::NotChecked {
            return Overall::Incomplete;
        }
        let failed = self.checks.iter().filter(|row| row.verdict == CheckVerdict::Fail);
        let malformed = |row: &BundleRow| row.code == Some(Code::BUNDLE_MALFORMED);
        if failed.into_iter().all(malformed) { Overall::Malformed } else { Overall::Refused }
    }
}

/// An answer before it is a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Pass(String),
    Fail(Code, String),
    NotChecked(Code, String),
    NotApplicable(String),
}

impl Answer {
    pub(super) fn fault(fault: &BundleFault) -> Self {
        match fault {
            BundleFault::Encrypted(_) => Self::NotChecked(fault.code(), fault.to_string()),
            BundleFault::Malformed(_)
            | BundleFault::Version(_)
            | BundleFault::ContentType(_)
            | BundleFault::Damaged(_)
            | BundleFault::Missing(_)
            | BundleFault::Limit(_) => Self::Fail(fault.code(), fault.to_string()),
        }
    }

    /// Another check failed that this one stands on.
    pub(super) fn unread() -> Self {
        let text = "what it stands on could not be read".to_owned();
        Self::NotChecked(Code::BUNDLE_INCOMPLETE, text)
    }

    pub(super) fn row(self, id: BundleCheckId) -> BundleRow {
        let (verdict, code, reason) = match self {
            Self::Pass(text) => (CheckVerdict::Pass, None, text),
            Self::Fail(code, text) => (CheckVerdict::Fail, Some(code), text),
            Self::NotChecked(code, text) => (CheckVerdict::NotChecked, Some(code), text),
            Self::NotApplicable(text) => (CheckVerdict::NotApplicable, None, text),
        };
        BundleRow { id, rule: id.rule(), verdict, code, reason }
    }
}
