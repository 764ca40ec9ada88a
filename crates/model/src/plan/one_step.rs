//! A plan that nobody wrote: one capability, used by hand.

use std::collections::BTreeMap;

use carnet_document::InputError;
use serde_json::Value;

use super::compile::Plan;
use super::document::{Document, Evidence, EvidenceProfile, Format, HashProfile, Work};
use super::phases::{Phases, WrittenKind, WrittenNode, WrittenPhase, WrittenStep};
use super::written::{Label, MigrationName, NodeName, Written};
use crate::capability::{Descriptor, check_inputs};

/// The phase of such a plan.
const PHASE: &str = "use";

impl Plan {
    /// A plan that only uses one capability. It has no gates, so it says nothing about whether that
    /// was well done, and no undo but the capability's own: it is for a person who looks.
    /// `migration` names its state, `owner` who uses it. The inputs are checked.
    pub fn of_one_step(
        migration: &str,
        owner: &str,
        capability: &Descriptor,
        with: &Value,
    ) -> Result<Self, Vec<InputError>> {
        check_inputs(capability, with)?;
        let bad = |what: &str| vec![InputError::new("", what, "use another name")];
        let migration = MigrationName::read(migration).map_err(|error| bad(&error.to_string()))?;
        let owner = Label::read(owner).map_err(|error| bad(&error.to_string()))?;
        let step = WrittenStep {
            capability: capability.name.to_owned(),
            with: with.clone(),
            undo: None,
            freeze: None,
        };
        let node = WrittenNode {
            name: NodeName::of(&capability.name.replace('.', "_")),
            does: None,
            after: None,
            kind: WrittenKind::Step(step),
        };
        let phase = WrittenPhase {
            name: NodeName::of(PHASE),
            does: None,
            on_failure: None,
            phase_id: Vec::new(),
            posture: None,
            evidence: Vec::new(),
            gate_level: None,
            entry: Vec::new(),
            steps: vec![node],
            exit: Vec::new(),
        };
        let document = Document {
            carnet: Format::V1,
            migration,
            evidence: Evidence {
                profile: EvidenceProfile::default(),
                tenant: owner.clone(),
                hash_profile: HashProfile::default(),
                signer: None,
                create_signer: false,
            },
            owner,
            governance: None,
            trust: None,
            dependencies: None,
            terms: None,
            approvals: BTreeMap::new(),
            exceptions: Vec::new(),
            amends: None,
            work: Work::Phases(Phases { programme: None, phases: vec![phase], rollback: None }),
        };
        Ok(Self::compile(document, BTreeMap::new()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::compiled::{NodeKind, PlannedUndo};
    use super::*;
    use crate::capability::descriptor;

    #[test]
    fn one_step_and_nothing_else() {
        let of = |name: &str, with: &Value| {
            Plan::of_one_step("cap-x-1", "ann", descriptor(name).unwrap(), with)
        };
        let plan = of("file.copy", &json!({"from": "a", "to": "b"})).unwrap();
        let [phase] = plan.phases() else { panic!("{:?}", plan.phases()) };
        let [node] = phase.nodes.as_slice() else { panic!("{phase:?}") };
        assert_eq!(node.name, "use/file_copy");
        let NodeKind::Step(step) = &node.kind else { panic!("{node:?}") };
        assert_eq!((step.capability.as_str(), &step.undo), ("file.copy", &PlannedUndo::Own));
        // What only a plan could take back, nothing takes back.
        let plan = of("command.run", &json!({"program": "true"})).unwrap();
        let node = &plan.phases()[0].nodes[0];
        let NodeKind::Step(step) = &node.kind else { panic!("{node:?}") };
        assert_eq!((&step.undo, &node.undo_does), (&PlannedUndo::Nothing, &None));
        assert_eq!(of("file.copy", &json!({"from": "a"})).unwrap_err().len(), 1);
        assert!(
            Plan::of_one_step("Cap X", "a", descriptor("command.run").unwrap(), &json!({}))
                .is_err()
        );
    }
}
