//! What an export must know of the log before it begins: found while the log is verified anyway.

use std::collections::BTreeSet;

use carnet_ledger::{Digest, Event, EventType, Family};

/// One look at each event.
pub(super) struct Survey {
    from: u64,
    to: Option<u64>,
    families: BTreeSet<Family>,
    /// The plan of the last run that was started.
    pub(super) plan: Option<Digest>,
    /// The events that changed the signing key.
    pub(super) key_changes: Vec<u64>,
}

impl Survey {
    pub(super) fn new(from: u64, to: Option<u64>) -> Self {
        let (families, plan, key_changes) = (BTreeSet::new(), None, Vec::new());
        Self { from, to, families, plan, key_changes }
    }

    pub(super) fn see(&mut self, event: &Event) {
        let event_type = event.draft.event_type;
        let wanted = event.sequence >= self.from && self.to.is_none_or(|to| event.sequence <= to);
        if let Some(family) = event_type.family()
            && wanted
        {
            self.families.insert(family);
        }
        if event_type == EventType::ProcessStart {
            self.plan = Some(event.draft.evidence_pointer);
        }
        if event_type == EventType::KeySucceeded {
            self.key_changes.push(event.sequence);
        }
    }

    /// The families of the range, with the export's own event if it will be in it.
    pub(super) fn families(&self, with_export: bool) -> BTreeSet<Family> {
        let mut families = self.families.clone();
        if with_export {
            families.extend(EventType::EvidenceExport.family());
        }
        families
    }
}
