//! What goes into a bundle.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use carnet_model::portability::{BundleGovernance, ContentType, GOVERNANCE_PATH};

use crate::error::BundleError;
use crate::files::list_tree;

/// One content of a bundle that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleItem {
    /// What it is.
    pub kind: ContentType,
    /// Its path in the bundle.
    pub path: String,
    /// Its media type.
    pub media_type: String,
    /// Where its bytes are.
    pub source: ItemSource,
    /// Whether it is encrypted, if there are recipients.
    pub sensitive: bool,
}

/// Where the bytes of a content are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemSource {
    /// In a file.
    File(PathBuf),
    /// Here.
    Bytes(Vec<u8>),
}

impl ItemSource {
    pub(super) fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Bytes(bytes) => Box::new(Cursor::new(bytes)),
        })
    }

    pub(super) fn size(&self) -> io::Result<u64> {
        match self {
            Self::File(path) => Ok(path.metadata()?.len()),
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// For messages.
    pub(super) fn place(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Bytes(_) => Path::new("bytes in memory"),
        }
    }
}

impl BundleItem {
    /// A content whose bytes are at hand.
    pub fn bytes(
        kind: ContentType,
        path: impl Into<String>,
        media_type: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
    ) -> Self {
        let source = ItemSource::Bytes(bytes.into());
        Self { kind, path: path.into(), media_type: media_type.into(), source, sensitive: false }
    }

    /// A content that is a file.
    pub fn file(
        kind: ContentType,
        path: impl Into<String>,
        media_type: impl Into<String>,
        file: impl Into<PathBuf>,
    ) -> Self {
        let source = ItemSource::File(file.into());
        Self { kind, path: path.into(), media_type: media_type.into(), source, sensitive: false }
    }

    /// The content `governance.json`, which says what the manifest says.
    pub fn governance(governance: &BundleGovernance) -> Self {
        let kind = ContentType::GovernanceMetadata;
        Self::bytes(kind, GOVERNANCE_PATH, "application/json", governance.canonical())
    }

    /// All files of a folder, under a path of the bundle. Links and special files are refused.
    pub fn folder(
        kind: ContentType,
        under: &str,
        folder: &Path,
        media_type: impl Fn(&str) -> String,
    ) -> Result<Vec<Self>, BundleError> {
        let files = list_tree(folder)?.files.into_iter();
        let item = |(path, _): (String, u64)| {
            Self::file(kind, format!("{under}/{path}"), media_type(&path), folder.join(&path))
        };
        Ok(files.map(item).collect())
    }

    /// The same, encrypted if there are recipients.
    #[must_use]
    pub fn sensitive(self) -> Self {
        Self { sensitive: true, ..self }
    }
}
