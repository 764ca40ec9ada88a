//! The `content_root` of a bundle: the same for the same content, whoever exports it and when.

use carnet_document::canonical_json;
use carnet_ledger::{Digest, leaf_hash, root_of};
use serde::Serialize;

use super::BundleContent;

/// What a leaf says of one content. The digest is that of the plain bytes, so that encryption does
/// not change the root.
#[derive(Serialize)]
struct Leaf<'a> {
    path: &'a str,
    sha256: &'a str,
    size: u64,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The RFC 6962 root over the contents that count, in byte order of path: whatever order they are
/// given in.
pub fn content_root(contents: &[BundleContent]) -> Digest {
    let mut counted: Vec<&BundleContent> =
        contents.iter().filter(|content| content.kind.is_content()).collect();
    counted.sort_by(|one, other| one.path.cmp(&other.path));
    root_of(counted.into_iter().map(|content| {
        let leaf = Leaf {
            path: &content.path,
            sha256: content.integrity_hash.trim_start_matches("sha256:"),
            size: content.size,
            kind: content.kind.name(),
        };
        leaf_hash(canonical_json(&leaf).as_bytes())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portability::ContentType;

    fn content(kind: ContentType, path: &str, bytes: &[u8]) -> BundleContent {
        BundleContent {
            kind,
            path: path.to_owned(),
            media_type: "text/plain".to_owned(),
            integrity_hash: format!("sha256:{}", Digest::of(bytes)),
            size: bytes.len() as u64,
            encryption: None,
        }
    }

    #[test]
    fn the_leaf_is_the_one_of_the_formats_page() {
        let one = content(ContentType::Config, "config/a", b"abc");
        let leaf = format!(
            r#"{{"path":"config/a","sha256":"{}","size":3,"type":"config"}}"#,
            Digest::of(b"abc")
        );
        assert_eq!(content_root(&[one]), leaf_hash(leaf.as_bytes()));
    }

    #[test]
    fn order_and_evidence_do_not_count_and_all_else_does() {
        let one = content(ContentType::Config, "config/a", b"abc");
        let two = content(ContentType::DataSnapshot, "data/b", b"");
        let evidence = content(ContentType::EvidenceChainSegment, "evidence/events.jsonl", b"x");
        let root = content_root(&[one.clone(), two.clone()]);
        assert_eq!(content_root(&[evidence, two.clone(), one.clone()]), root);
        for other in [
            BundleContent { kind: ContentType::DiskImage, ..one.clone() },
            BundleContent { path: "config/b".to_owned(), ..one.clone() },
            BundleContent { size: 4, ..one.clone() },
            content(ContentType::Config, "config/a", b"abd"),
        ] {
            assert_ne!(content_root(&[other, two.clone()]), root);
        }
        assert_ne!(content_root(&[one]), root);
    }
}
