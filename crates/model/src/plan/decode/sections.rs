//! Sections that have a form of their own: what they say is read as JSON, and what is wrong with it is
//! told where it stands in the plan.

use carnet_document::InputError;
use carnet_document::yaml::Entry;
use serde_json::Value;

use super::inputs::inputs;
use crate::plan::portability::Portability;
use crate::plan::programme::Programme;
use crate::plan::reader::Reader;
use crate::portability::{DependencyManifest, Terms};

pub(super) fn dependencies(reader: &mut Reader, at: &Entry) -> Option<DependencyManifest> {
    section(reader, at, DependencyManifest::read_value)
}

pub(super) fn terms(reader: &mut Reader, at: &Entry) -> Option<Terms> {
    section(reader, at, Terms::read_value)
}

pub(super) fn portability(reader: &mut Reader, at: &Entry) -> Option<Portability> {
    section(reader, at, Portability::read_value)
}

pub(super) fn programme(reader: &mut Reader, at: &Entry) -> Option<Programme> {
    section(reader, at, Programme::read_value)
}

fn section<T>(
    reader: &mut Reader,
    at: &Entry,
    read: fn(&Value) -> Result<T, Vec<InputError>>,
) -> Option<T> {
    let inputs = inputs(reader, Some(at), at.key_span)?;
    match read(&inputs.json) {
        Ok(section) => Some(section),
        Err(errors) => {
            inputs.tell(reader, &format!("`{}`", at.key), &errors);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::{Plan, Rejected};

    fn told(rejected: &Rejected) -> String {
        rejected.diagnostics.iter().map(|it| it.message.as_str()).collect()
    }

    fn plan(section: &str) -> String {
        format!(
            "carnet: v1\nmigration: m\nowner: o\n{section}phases:\n- name: a\n  exit:\n  - gate: \
             command\n    with: {{program: \"true\"}}\n"
        )
    }

    const DEPENDENCIES: &str = "dependencies:\n  service_id: shop\n  dependencies:\n  - id: dns\n    \
        what: a resolver\n    version: any\n    critical: true\n    substitutable: true\n    \
        alternative: any other\n";

    #[test]
    fn sections_are_read_and_count_for_the_digest() {
        let (without, _) = Plan::open("p", &plan("")).unwrap();
        let (with, _) = Plan::open("p", &plan(DEPENDENCIES)).unwrap();
        let found = with.document().dependencies.as_ref().unwrap();
        assert_eq!(found.service_id, "shop");
        assert_ne!(without.digest(), with.digest());
        assert!(with.canonical().contains("\"service_id\":\"shop\""));
    }

    #[test]
    fn what_is_wrong_is_told_in_its_line() {
        let wrong = DEPENDENCIES.replace("substitutable: true", "substitutable: false");
        let rejected = Plan::open("p", &plan(&wrong)).unwrap_err();
        assert!(told(&rejected).contains("no facet is said to fail"), "{rejected:?}");
        let terms = "terms:\n  notice_date: 2026-01-01T00:00:00Z\n  transition_starts: 2026-04-01T00:00:00Z\n  \
            transition_deadline: 2026-04-20T00:00:00Z\n  retrieval_until: 2026-06-01T00:00:00Z\n  \
            erasure_due: 2026-07-01T00:00:00Z\n";
        let rejected = Plan::open("p", &plan(terms)).unwrap_err();
        assert!(told(&rejected).contains("more than two months"), "{rejected:?}");
        let right = terms.replace("transition_starts: 2026-04", "transition_starts: 2026-03");
        let right =
            right.replace("transition_deadline: 2026-04-20", "transition_deadline: 2026-03-31");
        assert!(Plan::open("p", &plan(&right)).unwrap().0.document().terms.is_some());
    }
}
