//! The members that an event has beside the envelope, typed: whoever writes an event says all that
//! its type must say, or it does not compile.

use crate::digest::Digest;
use crate::event::EventType;
use crate::stamp::EventTime;
use crate::value::{Integer, Object, Value};

/// An artifact that an event speaks of. The artifact of a package is its manifest, which names
/// everything else in it by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// What it is, such as `data_snapshot`: `artifact_type`.
    pub artifact_type: &'static str,
    /// The digest of its bytes: `artifact_ref` and `artifact_hash`.
    pub digest: Digest,
}

/// A package that left, arrived or was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The package; its digest is that of its manifest: `artifact_manifest_hash`.
    pub manifest: Artifact,
    /// Whether its content was compared with what it must be: `integrity_verified`.
    pub integrity_verified: bool,
    /// The workload, where there is one: `workload_id`.
    pub workload_id: Option<String>,
}

/// A knowledge snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotBody {
    /// Its id, such as `20250812T153000Z`: `snapshot_id`.
    pub snapshot_id: String,
    /// The snapshot; its digest is that of its manifest.
    pub manifest: Artifact,
}

/// What a person decided about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The plan: `plan_digest`.
    pub plan: Digest,
    /// The gates with their verdicts, as the person saw them: `gate_table_digest`.
    pub gate_table: Digest,
    /// Until when the decision counts: `expires_at`.
    pub expires: Option<EventTime>,
}

/// A declared way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitPlan {
    /// Which one: `exit_plan_id`.
    pub exit_plan_id: String,
}

/// What a service depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependencyGraph {
    /// The service: `service_id`.
    pub service_id: String,
    /// The digest of the object with the graph: `graph_ref`.
    pub graph: Digest,
}

/// A set of interfaces that is kept to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interop {
    /// Which one: `profile_id`.
    pub profile_id: String,
    /// Of which version.
    pub version: String,
}

/// The parts of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sbom {
    /// Which component: `component_id`.
    pub component_id: String,
    /// The digest of the list of its parts: `sbom_ref`.
    pub sbom: Digest,
}

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Which component: `component_id`.
    pub component_id: String,
    /// The digest of the statement: `provenance_ref`.
    pub statement: Digest,
}

/// Where a part of a log was tied to an outside record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// What was tied: `anchor_hash`.
    pub anchor_hash: Digest,
    /// Where the outside record is: `archive_ref`.
    pub archive_ref: String,
    /// The first event.
    pub from_sequence: Integer,
    /// The last event.
    pub to_sequence: Integer,
}

/// What a comparison of two logs found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconciliation {
    /// Whether events are missing.
    pub gap_detected: bool,
    /// Whether events were changed.
    pub tamper_detected: bool,
}

/// A use of data. The policy is that of the envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageReceipt {
    /// Which data.
    pub data_product_id: String,
    /// Who used it.
    pub consumer_id: String,
    /// For what.
    pub purpose_id: String,
    /// How much.
    pub usage_quantity: Integer,
    /// Of what, such as `records`.
    pub usage_unit: String,
}

/// A key and the one that takes its place. Ids are of the form `name+<8 hex digits>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySuccession {
    /// The key that is retired.
    pub old_key_id: String,
    /// The key that signs from now on.
    pub new_key_id: String,
}

/// A collection that is no longer what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Its name.
    pub collection: String,
    /// The root that was recorded.
    pub expected_root: Digest,
    /// The root that it has now.
    pub found_root: Digest,
}

/// A file that is no longer what a plan is pinned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDrift {
    /// Where it is, as the plan has it.
    pub path: String,
    /// The digest that the plan is pinned to.
    pub pinned: Digest,
    /// The digest that it has now; `None` if it is not there.
    pub found: Option<Digest>,
    /// `critical` for what decides first, `major` for what decides after it.
    pub severity: &'static str,
    /// What it concerns, in words.
    pub impact: String,
}

/// The members of one body, as an object.
trait Members {
    fn fields(&self) -> Object;
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Object {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A digest as events show it.
fn shown(digest: Digest) -> Value {
    format!("sha256:{digest}").into()
}

fn reference(digest: Digest) -> Value {
    format!("eosc://artifact/sha256:{digest}").into()
}

fn with_artifact(artifact: &Artifact, mut fields: Object) -> Object {
    fields.extend(object([
        ("artifact_type", artifact.artifact_type.into()),
        ("artifact_ref", reference(artifact.digest)),
        ("artifact_hash", shown(artifact.digest)),
    ]));
    fields
}

impl Members for Package {
    fn fields(&self) -> Object {
        let mut fields = object([
            ("artifact_manifest_hash", shown(self.manifest.digest)),
            ("integrity_verified", self.integrity_verified.into()),
        ]);
        if let Some(workload) = &self.workload_id {
            fields.insert("workload_id".to_owned(), workload.as_str().into());
        }
        with_artifact(&self.manifest, fields)
    }
}

impl Members for SnapshotBody {
    fn fields(&self) -> Object {
        let fields = object([("snapshot_id", self.snapshot_id.as_str().into())]);
        with_artifact(&self.manifest, fields)
    }
}

impl Members for Approval {
    fn fields(&self) -> Object {
        let mut fields = object([
            ("plan_digest", shown(self.plan)),
            ("gate_table_digest", shown(self.gate_table)),
        ]);
        if let Some(expires) = self.expires {
            fields.insert("expires_at".to_owned(), expires.to_string().into());
        }
        fields
    }
}

impl Members for ExitPlan {
    fn fields(&self) -> Object {
        object([("exit_plan_id", self.exit_plan_id.as_str().into())])
    }
}

impl Members for DependencyGraph {
    fn fields(&self) -> Object {
        object([
            ("service_id", self.service_id.as_str().into()),
            ("graph_ref", reference(self.graph)),
        ])
    }
}

impl Members for Interop {
    fn fields(&self) -> Object {
        object([
            ("profile_id", self.profile_id.as_str().into()),
            ("version", self.version.as_str().into()),
        ])
    }
}

impl Members for Sbom {
    fn fields(&self) -> Object {
        object([
            ("component_id", self.component_id.as_str().into()),
            ("sbom_ref", reference(self.sbom)),
        ])
    }
}

impl Members for Provenance {
    fn fields(&self) -> Object {
        object([
            ("component_id", self.component_id.as_str().into()),
            ("provenance_ref", reference(self.statement)),
        ])
    }
}

impl Members for Anchor {
    fn fields(&self) -> Object {
        object([
            ("anchor_hash", shown(self.anchor_hash)),
            ("archive_ref", self.archive_ref.as_str().into()),
            ("from_sequence", self.from_sequence.into()),
            ("to_sequence", self.to_sequence.into()),
        ])
    }
}

impl Members for Reconciliation {
    fn fields(&self) -> Object {
        object([
            ("gap_detected", self.gap_detected.into()),
            ("tamper_detected", self.tamper_detected.into()),
        ])
    }
}

impl Members for UsageReceipt {
    fn fields(&self) -> Object {
        object([
            ("data_product_id", self.data_product_id.as_str().into()),
            ("consumer_id", self.consumer_id.as_str().into()),
            ("purpose_id", self.purpose_id.as_str().into()),
            ("usage_quantity", self.usage_quantity.into()),
            ("usage_unit", self.usage_unit.as_str().into()),
        ])
    }
}

impl Members for KeySuccession {
    fn fields(&self) -> Object {
        object([
            ("old_key_id", self.old_key_id.as_str().into()),
            ("new_key_id", self.new_key_id.as_str().into()),
        ])
    }
}

impl Members for Drift {
    fn fields(&self) -> Object {
        object([
            ("collection", self.collection.as_str().into()),
            ("expected_root", shown(self.expected_root)),
            ("found_root", shown(self.found_root)),
        ])
    }
}

impl Members for FileDrift {
    fn fields(&self) -> Object {
        let mut fields = object([
            ("path", self.path.as_str().into()),
            ("pinned_digest", shown(self.pinned)),
            ("severity", self.severity.into()),
            ("impact", self.impact.as_str().into()),
        ]);
        fields.extend(self.found.map(|found| ("found_digest".to_owned(), shown(found))));
        fields
    }
}

/// Lists the types of events, each with what it says beside the envelope.
macro_rules! bodies {
    ($($event_type:ident $(($body:ident))?,)*) => {
        /// What an event says beside the envelope, by its type.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum EventBody {
            $(#[doc = concat!("See [`EventType::", stringify!($event_type), "`].")]
            $event_type $(($body))?,)*
        }

        impl EventBody {
            /// The type of the event.
            pub const fn event_type(&self) -> EventType {
                match self { $(Self::$event_type { .. } => EventType::$event_type,)* }
            }

            /// The members beside the envelope.
            pub fn fields(&self) -> Object {
                $($(if let Self::$event_type(body) = self {
                    return $body::fields(body);
                })?)*
                Object::new()
            }
        }
    };
}

bodies! {
    MigrationExport(Package),
    MigrationImport(Package),
    MigrationValidate(Package),
    MigrationCutover,
    MigrationRollback,
    MigrationRefusal,
    GateVerdict,
    ApprovalGranted(Approval),
    ApprovalDenied(Approval),
    ApprovalExpired(Approval),
    ProcessStart,
    ProcessResume,
    ProcessPhase,
    ProcessAmend,
    ProcessChoice,
    ProcessTimer,
    ProcessMessage,
    ProcessCommit,
    ProcessIntent,
    ProcessOutcome,
    ProcessIncident,
    ProcessUndo,
    ProcessEnd,
    EvidenceExport,
    EvidenceReconcile,
    AuditChainVerify,
    ChainAnchor(Anchor),
    ChainReconciliation(Reconciliation),
    PolicyEvaluate,
    PolicyRefusal,
    AuthorityCheck,
    AuthorityRefusal,
    DependencyGraphPublish(DependencyGraph),
    DependencyExceptionAccept(DependencyGraph),
    SupplychainSbomPublish(Sbom),
    SupplychainProvenanceAttest(Provenance),
    InteropProfileDeclare(Interop),
    InteropCompatibilityTest(Interop),
    WorkloadAdmit,
    WorkloadRefuse,
    WorkloadTerminate,
    StorageWrite,
    StorageRead,
    StorageDelete,
    DataUsageReceipt(UsageReceipt),
    KeySucceeded(KeySuccession),
    KnowledgeSnapshotExported(SnapshotBody),
    KnowledgeSnapshotReady(SnapshotBody),
    VectorDriftDetected(Drift),
    ProgrammeDrift(FileDrift),
    ExitPathDeclare(ExitPlan),
    ExitValidationRun(ExitPlan),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{MemberValue, check_members};

    fn artifact() -> Artifact {
        Artifact { artifact_type: "data_snapshot", digest: Digest::of(b"manifest") }
    }

    /// One of each body that has members.
    fn samples() -> Vec<EventBody> {
        let (one, digest) = (Integer::from(1u32), Digest::of(b"x"));
        let package = |workload_id: Option<&str>| Package {
            manifest: artifact(),
            integrity_verified: true,
            workload_id: workload_id.map(str::to_owned),
        };
        let snapshot = SnapshotBody { snapshot_id: "s".into(), manifest: artifact() };
        let expires = EventTime::from_unix_millis(0).ok();
        let approval = |expires| Approval { plan: digest, gate_table: digest, expires };
        let exit = ExitPlan { exit_plan_id: "e".into() };
        let graph = DependencyGraph { service_id: "kb".into(), graph: digest };
        let interop = Interop { profile_id: "p".into(), version: "1".into() };
        vec![
            EventBody::MigrationExport(package(None)),
            EventBody::MigrationImport(package(Some("w"))),
            EventBody::MigrationValidate(package(None)),
            EventBody::ApprovalGranted(approval(expires)),
            EventBody::ApprovalDenied(approval(None)),
            EventBody::ApprovalExpired(approval(None)),
            EventBody::ChainAnchor(Anchor {
                anchor_hash: digest,
                archive_ref: "urn:archive:1".into(),
                from_sequence: one,
                to_sequence: one,
            }),
            EventBody::ChainReconciliation(Reconciliation {
                gap_detected: false,
                tamper_detected: false,
            }),
            EventBody::DependencyGraphPublish(graph.clone()),
            EventBody::DependencyExceptionAccept(graph),
            EventBody::SupplychainSbomPublish(Sbom { component_id: "c".into(), sbom: digest }),
            EventBody::SupplychainProvenanceAttest(Provenance {
                component_id: "c".into(),
                statement: digest,
            }),
            EventBody::InteropProfileDeclare(interop.clone()),
            EventBody::InteropCompatibilityTest(interop),
            EventBody::DataUsageReceipt(UsageReceipt {
                data_product_id: "d".into(),
                consumer_id: "c".into(),
                purpose_id: "p".into(),
                usage_quantity: one,
                usage_unit: "records".into(),
            }),
            EventBody::KeySucceeded(KeySuccession {
                old_key_id: "a+00000000".into(),
                new_key_id: "b+00000001".into(),
            }),
            EventBody::KnowledgeSnapshotExported(snapshot.clone()),
            EventBody::KnowledgeSnapshotReady(snapshot),
            EventBody::VectorDriftDetected(Drift {
                collection: "c".into(),
                expected_root: digest,
                found_root: digest,
            }),
            EventBody::ProgrammeDrift(FileDrift {
                path: "flow.md".into(),
                pinned: digest,
                found: Some(digest),
                severity: "critical",
                impact: "all phases".into(),
            }),
            EventBody::ExitPathDeclare(exit.clone()),
            EventBody::ExitValidationRun(exit),
        ]
    }

    #[test]
    fn each_body_says_what_the_catalogue_asks_of_its_type_and_nothing_else() {
        let samples = samples();
        for body in &samples {
            let (event_type, fields) = (body.event_type(), body.fields());
            let found = check_members(event_type.name(), |name| match name {
                "policy_snapshot_id" => Some(MemberValue::Given),
                "outcome" => Some(MemberValue::Text("refused")),
                _ => fields.get(name).and_then(MemberValue::of),
            });
            assert_eq!(found, Ok(()), "{event_type}");
            let known = event_type.members().iter().map(|member| member.name);
            let known: Vec<_> =
                known.chain(crate::catalogue::ARTIFACT.iter().map(|it| it.name)).collect();
            assert!(fields.keys().all(|name| known.contains(&name.as_str())), "{event_type}");
            let artifact = fields.contains_key("artifact_hash");
            assert_eq!(artifact, event_type.carries_artifact(), "{event_type}");
        }
        let bare = EventType::ALL.iter().filter(|it| it.members().is_empty());
        assert_eq!(samples.len() + bare.count(), EventType::ALL.len(), "a type without a sample");
    }
}
