//! Where each key of a document stands in its text.

use carnet_document::Span;
use carnet_document::yaml::{Node, Value};

/// The places of a document that was read without an error.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    root: Node,
    first: Span,
}

impl Tree {
    pub(super) fn new(root: Node, first: Span) -> Self {
        Self { root, first }
    }

    /// The place of the value under these keys: the value itself if it is a scalar, its key if it
    /// is a list or mapping, and the nearest key above if it is not written at all. An item of a
    /// list is named by its number, counted from 0.
    pub(super) fn at(&self, keys: &[&str]) -> Span {
        let (mut node, mut span) = (&self.root, self.first);
        for key in keys {
            let Some((below, key_span)) = step(node, key) else { break };
            let holds_more = matches!(below.value, Value::List(_) | Value::Map(_));
            span = if holds_more { key_span } else { below.span };
            node = below;
        }
        span
    }

    /// The place of the last of these keys itself.
    pub(super) fn key_at(&self, keys: &[&str]) -> Span {
        let above = keys.len().saturating_sub(1);
        let (above, last) = keys.split_at(above);
        let parent = above.iter().try_fold(&self.root, |node, key| Some(step(node, key)?.0));
        let key = parent.and_then(|node| Some(step(node, last.first()?)?.1));
        key.unwrap_or_else(|| self.at(keys))
    }
}

fn step<'a>(node: &'a Node, key: &str) -> Option<(&'a Node, Span)> {
    match &node.value {
        Value::Map(entries) => {
            let entry = entries.iter().find(|entry| entry.key == key)?;
            Some((&entry.node, entry.key_span))
        }
        Value::List(items) => {
            let item = items.get(key.parse::<usize>().ok()?)?;
            Some((item, item.span))
        }
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Refused => None,
    }
}
