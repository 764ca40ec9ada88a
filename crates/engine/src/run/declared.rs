//! What a plan declares before anything is done, as objects of the evidence: the rules, who has
//! authority, the way out, and what it all depends on. Nothing in them is looked up: they say what
//! the plan says.

use std::collections::BTreeSet;

use carnet_bundle::ARTIFACT_KINDS;
use carnet_model::gate::Definition;
use carnet_model::plan::{Knowledge, Phase, PhaseName, Plan, PlannedUndo};
use serde_json::{Map, Value, json};

/// The id of the way out that a plan declares: the plan itself.
pub(super) fn exit_plan_id(plan: &Plan) -> String {
    format!("sha256:{}", plan.digest())
}

/// The rules and thresholds in force: the definitions of all gates, in order.
pub(super) fn rules(plan: &Plan) -> Value {
    let gates = plan
        .phases()
        .iter()
        .flat_map(|phase| phase.gates().map(|(_, gate)| rule(&phase.name, &gate.definition)));
    json!({ "rules": gates.collect::<Vec<_>>() })
}

/// One gate of a phase, with what it demands.
pub(super) fn rule(phase: &str, gate: &Definition) -> Value {
    json!({
        "phase": phase,
        "gate": gate.gate().id(),
        "definition": gate,
        "digest": gate.digest(),
    })
}

/// Who may approve what, by whose keys, and who answers for it, as the plan says.
pub(super) fn authority_of(plan: &Plan) -> Value {
    let document = plan.document();
    let owner = Some(document.owner.as_str());
    if plan.approvals().is_empty() {
        return authority(owner);
    }
    let trust = document.trust.as_ref().map(ToString::to_string);
    let approvers: BTreeSet<&String> =
        plan.approvals().values().flat_map(|rule| &rule.any_of).collect();
    json!({
        "approvers": approvers,
        "approvals": plan.approvals(),
        "trust": trust,
        "trust_sha256": trust.as_ref().and_then(|path| plan.files().get(path)),
        "owner": owner,
        "rule": START_RULE,
    })
}

/// The same where nobody must approve.
pub(super) fn authority(owner: Option<&str>) -> Value {
    json!({ "approvers": [], "owner": owner, "rule": START_RULE })
}

/// The rule by which a run may start.
pub(super) const START_RULE: &str =
    "who can write the state directory may run it; what the plan has approved waits for that";

/// The way out: what moves, in which formats, by which phases, and how each is taken back.
pub(super) fn exit_path(plan: &Plan) -> Value {
    let document = plan.document();
    let phases = plan.phases().iter().map(|phase| {
        let steps = phase.steps().map(|(node, step)| {
            json!({
                "step": node.short_name(),
                "changes": step.mutates(),
                "does": node.does,
                "undo": node.undo_does,
            })
        });
        let gates = phase.gates().map(|(_, gate)| gate.definition.gate().id());
        json!({
            "phase": phase.name,
            "steps": steps.collect::<Vec<_>>(),
            "gates": gates.collect::<Vec<_>>(),
        })
    });
    let steps = plan.phases().iter().flat_map(Phase::steps);
    let irreversible: Vec<_> = steps
        .filter_map(|(node, step)| match &step.undo {
            PlannedUndo::Refused { approval, .. } => Some((node.short_name(), approval)),
            PlannedUndo::Own | PlannedUndo::By { .. } | PlannedUndo::Nothing => None,
        })
        .collect();
    let no_return = plan.phases().iter().find(|phase| phase.commits());
    let mut path = json!({
        "exit_plan_id": exit_plan_id(plan),
        "migration": document.migration,
        "owner": document.owner,
        "phases": phases.collect::<Vec<_>>(),
        "point_of_no_return": no_return.map(|phase| phase.name.as_str()),
        "irreversible_steps": irreversible.iter().map(|(step, _)| step).collect::<Vec<_>>(),
    });
    if let (Some(members), false) = (path.as_object_mut(), irreversible.is_empty()) {
        let approvals: Map<String, Value> =
            irreversible.iter().map(|(step, name)| ((*step).to_owned(), json!(name))).collect();
        members.insert("irreversible_approvals".to_owned(), Value::Object(approvals));
    }
    if let (Some(members), Some(crossing)) = (path.as_object_mut(), plan.portability()) {
        let (from, to) = (&crossing.source.name, &crossing.target.name);
        members.insert("scenario".to_owned(), crossing.scenario.name().into());
        members.insert("workload_id".to_owned(), json!(crossing.workload_id));
        members.insert("from".to_owned(), json!({ "environment": from }));
        members.insert("to".to_owned(), json!({ "environment": to }));
        members.insert("format".to_owned(), "OCI image layout".into());
        members.insert("downtime_expected".to_owned(), json!(crossing.downtime_expected));
    }
    if let (Some(members), Some(knowledge)) = (path.as_object_mut(), plan.knowledge()) {
        members.extend(moved(knowledge));
    }
    path
}

/// What is said of a knowledge base that moves.
fn moved(knowledge: &Knowledge) -> Map<String, Value> {
    let (source, target) = (&knowledge.source, &knowledge.target);
    let from = json!({
        "environment": source.name,
        "store": source.knowledge.store,
        "artifacts": source.knowledge.artifacts,
    });
    let to = json!({
        "environment": target.name,
        "store": target.knowledge.store,
        "artifacts": target.knowledge.artifacts,
    });
    let members = [
        ("from", from),
        ("to", to),
        ("moves", moves(knowledge).into()),
        ("losses_accepted", json!(knowledge.accept_loss)),
    ];
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// What leaves the source, and in which formats.
fn moves(moved: &Knowledge) -> Vec<Value> {
    let knowledge = &moved.source.knowledge;
    let collections = match &knowledge.collections {
        Some(stated) => json!(stated.keys().collect::<Vec<_>>()),
        None => json!("all"),
    };
    let mut found = vec![
        json!({
            "what": "records",
            "collections": collections,
            "format": "Apache Parquet",
            "files": ["embeddings.parquet", "digests.parquet"],
            "columns_left_behind": knowledge.drop,
        }),
        json!({ "what": "contracts, counts and roots", "format": "JSON", "files": ["manifest.json"] }),
        json!({ "what": "checksums", "format": "sha256sum", "files": ["checksums.sha256"] }),
    ];
    if artifacts_travel(moved) {
        found.push(json!({
            "what": "artifacts",
            "format": "files, byte for byte",
            "files": ARTIFACT_KINDS,
        }));
    }
    found
}

fn artifacts_travel(moved: &Knowledge) -> bool {
    let (source, target) = (&moved.source.knowledge, &moved.target.knowledge);
    source.artifacts.is_some() && target.artifacts.is_some()
}

/// The kinds of store that a plan can name as its target.
const TARGETS: [&str; 3] = ["faiss", "sqlite", "postgres"];

/// The systems and formats that the migration depends on, and whether something else could take
/// the place of each.
pub(super) fn dependencies(plan: &Plan) -> Value {
    if let Some(stated) = &plan.document().dependencies {
        return json!(stated);
    }
    json!({
        "service_id": plan.document().migration,
        "plan": exit_plan_id(plan),
        "depends_on": plan.knowledge().map(depends_on).unwrap_or_default(),
    })
}

fn depends_on(moved: &Knowledge) -> Vec<Value> {
    let (source, target) = (&moved.source.knowledge, &moved.target.knowledge);
    let mut found = vec![
        node(
            "source_store",
            &json!({ "store": source.store, "kind": source.store.url().kind() }),
            &[PhaseName::Prepare, PhaseName::Quiesce, PhaseName::Export, PhaseName::Validate],
            Err("the records are there"),
        ),
        node(
            "target_store",
            &json!({ "store": target.store, "kind": target.store.url().kind() }),
            &[PhaseName::Prepare, PhaseName::Import, PhaseName::Validate],
            Ok(&TARGETS),
        ),
        node(
            "snapshot_formats",
            &json!({ "formats": ["Apache Parquet", "JSON", "sha256sum"] }),
            &[PhaseName::Export, PhaseName::Verify, PhaseName::Import],
            Ok(&["any reader of these published formats"]),
        ),
    ];
    if let Some(quiesce) = &moved.quiesce {
        let phases = [PhaseName::Quiesce, PhaseName::Cutover];
        let why = "the writers of the source look at this file";
        found.push(node("pause_flag", &json!({ "file": quiesce.flag }), &phases, Err(why)));
    }
    if let Some(transfer) = &moved.transfer {
        let phases = [PhaseName::Transfer, PhaseName::Verify, PhaseName::Import];
        let what = json!({ "folder": transfer.inbox });
        found.push(node("transfer_inbox", &what, &phases, Ok(&["any folder on the target side"])));
    }
    if let Some(cutover) = &moved.cutover {
        let what = json!({ "file": cutover.switch.env_file, "variable": cutover.switch.key });
        let why = "the readers take the address of their store from this variable";
        found.push(node("switch", &what, &[PhaseName::Cutover], Err(why)));
    }
    if let Some(decommission) = &moved.decommission {
        let what = json!({ "folder": decommission.archive });
        found.push(node("archive", &what, &[PhaseName::Decommission], Ok(&["any folder"])));
    }
    for (name, stated) in source.collections.iter().flatten() {
        if let Some(model) = &stated.embedding_model {
            let what = json!({ "collection": name, "model": model });
            let why = "vectors of another model cannot be searched together with these";
            found.push(node("embedding_model", &what, &[], Err(why)));
        }
    }
    found
}

/// One dependency: what it is, the phases that need it (none: only the service itself does), and
/// what could take its place, or why nothing can.
fn node(
    id: &str,
    what: &Value,
    needed_in: &[PhaseName],
    substitutes: Result<&[&str], &str>,
) -> Value {
    let needed_in: Vec<_> = needed_in.iter().map(|phase| phase.name()).collect();
    let mut node = json!({ "id": id, "is": what, "needed_in": needed_in });
    let (substitutable, key, value) = match substitutes {
        Ok(others) => (true, "substitutes", json!(others)),
        Err(why) => (false, "because", json!(why)),
    };
    if let Some(members) = node.as_object_mut() {
        members.insert("substitutable".to_owned(), substitutable.into());
        members.insert(key.to_owned(), value);
    }
    node
}
