"""What goes wrong with evidence in practice, by name: what of good evidence is changed, what the gate must say to
it then, and in which words."""

import dataclasses
import os
from collections.abc import Callable

from evidence_changes import (
    GONE, Named, add, ahead, all_of, before_the_run, byte_order_mark, carriage_returns, cut, edit, key_twice, line,
    moved, nothing, of_another_run, raw, removed, rows, without_last_newline)

SUMMARY, RECEIPTS = "ingest/receipt_summary.json", "ingest/receipts.jsonl"
OFFSETS, CAUGHT_UP = "ingest/kafka_offsets_snapshot.json", "rtdl_core/caught_up.json"
REPORT, RECONCILIATION, ANCHORS = "obs/run_report.json", "obs/reconciliation.json", "obs/replay_anchors.json"
CONFORMANCE, ANOMALIES = "obs/environment_conformance.json", "obs/anomaly_summary.json"
EVENTS, COMPLETED, PROOF = "obs/governance/events.jsonl", "run_completed.json", "teardown/teardown_proof.json"
DAEMONS, DUPLICATE, SECOND = "operate/daemons_ready.json", "drills/duplicate.json", "drills/second_writer.json"
TASKS, LOST = "operate/task_runs.jsonl", "obs/conflict/1.json"
READY = "ingest/ig_ready.json"
SORTED = "oracle/arrival_events_5B/_stream_sort_receipt.json"
# Where the roles of these runs were started: as processes of this machine.
COMPUTE = [f"process:{os.uname().nodename}:"]


@dataclasses.dataclass(frozen=True)
class Case:
    """`ask` is the gate and its rule, `of` the run; the rule has the digest of the file `pinned`, if that is said."""

    name: str
    ask: tuple[str, dict]
    change: Callable
    verdict: str
    says: tuple[str, ...]
    of: str = "run"
    pinned: str | None = None


def alone(form, path=None, **more):
    file = {"form": form} | ({"path": "evidence/runs/{platform_run_id}/" + path} if path else {})
    return "run_evidence", {"files": [file], **more}


def together(check, forms, **more):
    return "run_agreement", {"files": [{"form": form} for form in forms.split()], "checks": [check], **more}


def whole(place, run, drill):
    """Two gates over all that a run left: each file by itself, and all of them together."""
    paths = [path.removeprefix(run.home) for path in place.paths() if path.startswith(run.home)]
    more = [{"form": "stream_sort_receipt", "path": run.home + path} for path in paths if path.endswith("/_stream_sort_receipt.json")]
    if drill:
        more.append({"form": "drill_report", "path": f"{run.home}drills/{drill}.json"})
    files = [{"form": form} for form in FORMS.split()]
    return ("run_evidence", {"files": files + more}), ("run_agreement", {"files": files, "checks": CHECKS, "compute": COMPUTE})


CLOSURE = "run_completed run_report reconciliation replay_anchors environment_conformance anomaly_summary governance_event"
closure, closure_and_basis = together("closure", CLOSURE), together("closure", CLOSURE + " kafka_offsets_snapshot receipt_summary")
offsets = together("offsets", "kafka_offsets_snapshot receipt_summary caught_up offsets_snapshot ingestion_receipt")
placement = together("placement", "run daemons_ready ig_ready task_run", compute=COMPUTE)
receipts = together("receipts", "receipt_summary ingestion_receipt quarantine_summary quarantine_record")
unresolved = together(
    "unresolved", "receipt_summary ingestion_receipt quarantine_summary quarantine_record run_report anomaly_summary")
# As much of it as there is of a run that could not be closed.
unresolved_open = together("unresolved", "receipt_summary ingestion_receipt quarantine_summary quarantine_record")

# All that a run leaves that was closed and torn down.
FORMS = (
    "run run_started daemons_ready ig_ready ready_publish_receipt wsp_summary receipt_summary ingestion_receipt "
    "quarantine_summary quarantine_record kafka_offsets_snapshot caught_up offsets_snapshot decision_summary "
    "action_summary audit_summary case_summary label_summary run_report reconciliation replay_anchors "
    "environment_conformance anomaly_summary governance_event run_completed teardown_proof task_run")
CHECKS = ["placement", "pins", "receipts", "unresolved", "flow", "offsets", "decisions", "anchors", "closure"]

summary, receipt_lines = alone("receipt_summary"), alone("ingestion_receipt")
lost = alone("writer_conflict")
duplicate, second_writer = alone("drill_report", DUPLICATE), alone("drill_report", SECOND)

empty_offsets = edit(OFFSETS, {"/partitions/*/start_offset": -1, "/partitions/*/end_offset": -1})


def caught_at(end, committed):
    """Every reader at one place, as rows say it: a real one may have lagged a little when it was looked at."""
    def at(row):
        return {**row, "end_offset": end(row), "committed_offset": committed(row), "lag": 0}

    return edit(CAUGHT_UP, {"/partitions/*": at, "/lag_max": 0, "/lag_total": 0})


empty_lag = caught_at(lambda row: -1, lambda row: -1)
another_epoch = caught_at(lambda row: row["end_offset"] - 1, lambda row: row["end_offset"] - 1)
lag_misread = caught_at(lambda row: row["end_offset"], lambda row: 0)
one_partition = all_of(
    caught_at(lambda row: row["end_offset"], lambda row: row["end_offset"]),
    edit(CAUGHT_UP, {"/partitions": lambda rows: rows[:1]}))
left_out = all_of(
    caught_at(lambda row: row["end_offset"], lambda row: row["end_offset"]),
    edit(CAUGHT_UP, {"/partitions": lambda rows: rows[1:]}))
zero_inputs = edit(RECONCILIATION, {
    "/inputs": lambda all: dict.fromkeys(all, 0), "/deltas": lambda all: dict.fromkeys(all, 0)})
zero_summary = edit(SUMMARY, {
    "/total": 0, "/by_outcome/ADMIT": 0, "/by_event_class": {}, "/by_event_type": {}, "/admission_states/ADMITTED": 0})
only_duplicates = edit(SUMMARY, {
    "/by_outcome/ADMIT": 0, "/by_outcome/DUPLICATE": 40, "/admission_states/ADMITTED": 0})
twice_in_the_report = edit(REPORT, {
    "/ingress/quarantine": 1, "/ingress/publish_ambiguous": 1, "/ingress/received": 22, "/ingress/sent": 22})
twice_reconciled = edit(RECONCILIATION, {
    "/inputs/quarantine": 1, "/inputs/publish_ambiguous": 1, "/inputs/received": 22, "/inputs/sent": 22,
    "/deltas/received_minus_admit": 2})


def one_id(all):
    return [all[0], {**all[1], "receipt_id": all[0]["receipt_id"]}, *all[2:]]


def without(family):
    return lambda all: [row for row in all if row["family"] != family]


def called_off(all):
    return [*all, {**all[-1], "event_id": "f" * 32, "family": "RUN_CANCELLED"}]


def again(family):
    """One more event of a family, as a second writer appends it."""
    return lambda all: [row for event in all for row in ([event, {**event, "event_id": "f" * 32}] if event["family"] == family else [event])]


def ended_first(all):
    return [row for row in all if row["family"] == "RUN_ENDED"] + without("RUN_ENDED")(all)


def in_one_place(all):
    return [{**row, "eb_ref": all[0]["eb_ref"]} for row in all]


def ran(role, **other):
    """The line of a role says something else; `role` None: of each."""
    return lambda all: [{**row, **other} if role in (None, row["role"]) else row for row in all]


# Where it ran, and who wrote.
PLACES = [
    Case("a job on a laptop", placement, rows(TASKS, ran("stream", task_arn="process:laptop:7")),
         "fail", ("stream ran as process:laptop:7, and not at process:",)),
    Case("a service on a laptop", placement, all_of(
        rows(TASKS, ran("ig", task_arn="process:laptop:7")),
        edit(DAEMONS, {"/services/*": lambda row: {**row, "task_arns": ["process:laptop:7"]} if row["service_name"] == "ig" else row})),
         "fail", ("ig ran as process:laptop:7",)),
    Case("a task from another image", placement, rows(TASKS, ran("report", image_digest="sha256:" + "0" * 64)),
         "fail", ("report ran from the image sha256:000", "and the run is pinned to sha256:")),
    Case("a service that nobody recorded", placement, rows(TASKS, lambda all: [row for row in all if row["role"] != "case-mgmt"]),
         "fail", ("has case-mgmt as process:", "which is not recorded")),
    Case("as if no job had run", placement, rows(TASKS, lambda all: [row for row in all if row["kind"] == "service"]),
         "no_data", ("no job is recorded",)),
    Case("nothing recorded of where it ran", placement, raw(TASKS, nothing), "no_data", ("has no lines",)),
    Case("one task of two roles", placement, rows(TASKS, lambda all: [{**row, "task_arn": all[0]["task_arn"]} for row in all]),
         "fail", ("is the task of two",)),
    Case("a loser that does not say who held the lock", lost, edit(LOST, {"/held_by": None}),
         "no_data", ("does not say who held the lock",), of="second_writer"),
    Case("a lock that is declared and not wired", lost, edit(LOST, {"/held_by/generation": 0}),
         "no_data", ("does not say who held the lock",), of="second_writer"),
    Case("a writer that was refused by itself", lost, edit(LOST, {"/loser": "x", "/held_by/holder": "x"}),
         "fail", ("x was refused by itself",), of="second_writer"),
    Case("no evidence of the loser", lost, removed(LOST), "no_data", ("there is nothing at",), of="second_writer"),
]

# A green light over an empty basis.
VACUOUS = [
    Case("offsets overwritten in place by an empty epoch", alone("kafka_offsets_snapshot"), empty_offsets,
         "no_data", ("knows nothing of any partition", "every offset is -1")),
    Case("lag 0 over an empty epoch", alone("caught_up"), empty_lag,
         "no_data", ("knows nothing of any partition", "every offset is -1")),
    Case("empty epoch in all files at once", offsets, all_of(empty_offsets, empty_lag), "no_data", ("every offset is -1",)),
    Case("one partition of an empty epoch", alone("kafka_offsets_snapshot"),
         edit(OFFSETS, {"/partitions/3/start_offset": -1, "/partitions/3/end_offset": -1}),
         "no_data", ("knows nothing of fp.bus.", "an offset is -1")),
    Case("an epoch that ends at 0", alone("kafka_offsets_snapshot"),
         edit(OFFSETS, {"/partitions/*/start_offset": 0, "/partitions/*/end_offset": 0}),
         "no_data", ("has the end 0 in every partition",)),
    Case("an epoch in which nothing happened", alone("kafka_offsets_snapshot"),
         edit(OFFSETS, {"/partitions/*": lambda row: {**row, "start_offset": row["end_offset"]}}),
         "no_data", ("an empty range in every partition",)),
    Case("lag measured in another epoch", offsets, another_epoch, "fail", ("caught_up ends at", "and the run at")),
    Case("lag of one partition alone", offsets, one_partition,
         "no_data", ("caught_up is not about", "which the run wrote to")),
    Case("one consumer left out of one partition", offsets, left_out,
         "no_data", ("caught_up is not about fp.bus.", "which reads this topic")),
    Case("a sample of nothing", alone("kafka_offsets_snapshot"), edit(OFFSETS, {"/partitions/*/sampled_records": 0}),
         "no_data", ("has sampled none of the records",)),
    Case("lag that is not what the offsets say", alone("caught_up"), lag_misread,
         "fail", ("the lag in fp.bus.", "is 0, and it is")),
    Case("expected counts became 0", summary, zero_summary, "no_data", ("nothing was received",)),
    Case("the basis overwritten after the report", closure_and_basis,
         edit(OFFSETS, {"/partitions/0/sampled_records": 1}), "fail", ("was overwritten after run_report referred to it",)),
    Case("evidence overwritten", alone("kafka_offsets_snapshot"), edit(OFFSETS, {"/partitions/0/sampled_records": 1}),
         "fail", ("other bytes than are pinned", "overwritten"), pinned=OFFSETS),
    Case("lines taken from evidence", receipt_lines, rows(RECEIPTS, lambda all: all[:-1]),
         "fail", ("other bytes than are pinned", "overwritten"), pinned=RECEIPTS),
]

# What is missing is not 0; DEGRADED is not PASS.
MISSING = [
    Case("metric missing in the report", alone("run_report"), edit(REPORT, {"/ingress/admit": GONE}),
         "fail", ("lacks the field `admit`", "(missing_field)")),
    Case("metric missing in the reconciliation", alone("reconciliation"), edit(RECONCILIATION, {"/inputs/decision": GONE}),
         "fail", ("lacks the field `decision`", "(missing_field)")),
    Case("a stranger let in, as a fraction", alone("ig_ready"), edit(READY, {"/auth/unauthenticated_status": 200.0}),
         "fail", ("at /auth/unauthenticated_status: a whole number is written without a point", "(wrong_type)")),
    Case("a stranger let in, by a number of too many digits", alone("ig_ready"),
         edit(READY, {"/auth/unauthenticated_status": 2**64 - 1}), "fail", ("(wrong_value)",)),
    Case("ambiguous ones as a fraction", unresolved, edit(SUMMARY, {"/by_reason_code": {"PUBLISH_AMBIGUOUS": 2.0}}),
         "fail", ("at /by_reason_code/PUBLISH_AMBIGUOUS", "(wrong_type)")),
    Case("a sample of nothing, as a fraction", alone("kafka_offsets_snapshot"),
         edit(OFFSETS, {"/partitions/*/sampled_records": 0.0}), "fail", ("(wrong_type)",)),
    Case("metric that is null", alone("run_report"), edit(REPORT, {"/rtdl/outcome": None}), "fail", ("(wrong_type)",)),
    Case("zeros on both sides", alone("reconciliation"), zero_inputs, "no_data", ("is over nothing",)),
    Case("nobody says what is in flight", unresolved, edit(SUMMARY, {"/admission_states": GONE}),
         "no_data", ("does not say", "PUBLISH_IN_FLIGHT")),
    Case("reconciliation that warns", alone("reconciliation"), edit(RECONCILIATION, {"/status": "WARN"}),
         "fail", ("the status WARN",)),
    Case("conformance degraded", alone("environment_conformance"), edit(CONFORMANCE, {"/status": "DEGRADED"}),
         "fail", ("the status DEGRADED, which is no PASS",)),
    Case("conformance degraded, marker COMPLETED", closure,
         edit(CONFORMANCE, {"/status": "DEGRADED"}, pinned_again=True), "fail", ("the status DEGRADED, which is no PASS",)),
    Case("a check of conformance that threw", closure,
         edit(CONFORMANCE, {"/checks/2/status": "DEGRADED"}, pinned_again=True),
         "fail", ("security_corridor_posture DEGRADED",)),
    Case("a check of conformance left out", alone("environment_conformance"),
         edit(CONFORMANCE, {"/checks": lambda all: all[:-1]}), "no_data", ("lacks the check",)),
]

DRIFT = [
    *(Case(f"{must} written as {found}", alone("kafka_offsets_snapshot"),
           edit(OFFSETS, {f"/partitions/*/{must}": Named(found)}),
           "fail", (f"has the field `{found}`", f"must be named `{must}`", "(renamed_field)"))
      for must, found in (("start_offset", "run_start_offset"), ("end_offset", "run_end_offset"),
                          ("end_offset", "watermark_high"), ("start_offset", "offset"))),
    *(Case(f"offset of an anchor written as {found}", alone("replay_anchors"),
           edit(ANCHORS, {"/anchors/ingest/*/offset": Named(found)}),
           "fail", (f"has the field `{found}`", "must be named `offset`", "(renamed_field)"))
      for found in ("start_offset", "run_start_offset")),
    Case("anchors of which none was found", alone("replay_anchors"),
         edit(ANCHORS, {"/anchors/ingest": [], "/counts/ingest": 0}), "no_data", ("has no anchor of ingest",)),
    Case("an anchor outside of the run", together("anchors", "replay_anchors kafka_offsets_snapshot offsets_snapshot"),
         edit(ANCHORS, {"/anchors/ingest/0/offset": add(1000)}), "fail", ("has an anchor of ingest at", "outside of")),
]

COUNTED = [
    Case("ambiguous counted twice in the summary", summary, edit(SUMMARY, {"/total": add(1)}),
         "fail", ("the ambiguous ones are counted twice",), of="ambiguous_publish"),
    Case("ambiguous counted twice in the report", alone("run_report"), twice_in_the_report,
         "fail", ("the ambiguous ones are counted twice",)),
    Case("ambiguous counted twice in the reconciliation", alone("reconciliation"), twice_reconciled,
         "fail", ("the ambiguous ones are counted twice",)),
    Case("receipt ids that collapse", receipt_lines, rows(RECEIPTS, one_id),
         "fail", ("line 2 of", "for two different events", "(receipts_collapsed)")),
    Case("receipt ids made of the content alone", receipt_lines,
         rows(RECEIPTS, lambda all: [{**row, "receipt_id": row["event_id"][:32]} for row in all]),
         "fail", ("twice (receipt_twice)",), of="duplicate"),
    Case("an event admitted twice", receipt_lines, line(RECEIPTS, None, {"/decision": "ADMIT"}),
         "fail", ("admits the event", "twice (admitted_twice)"), of="duplicate"),
    Case("events that all lie in one place", receipt_lines, rows(RECEIPTS, in_one_place),
         "fail", ("line 2 of", "has an admitted event in fp.bus.", "(place_twice)")),
    Case("events in one place, and the rest adds up", offsets, rows(RECEIPTS, in_one_place), "fail", ("(place_twice)",)),
    Case("events that lie at another broker", offsets, line(RECEIPTS, 0, {"/eb_ref/offset_kind": "kinesis_sequence"}),
         "fail", ("offsets: receipts admit 20 events, and say of 19 where the broker has them",)),
    Case("a partition that stands twice, for another consumer", alone("kafka_offsets_snapshot"),
         edit(OFFSETS, {"/partitions": lambda rows: [*rows, {**rows[0], "consumer_group_id": "x"}]}),
         "fail", ("has the unknown field `consumer_group_id`", "(unknown_field)")),
    Case("a receipt that is lost", receipts, rows(RECEIPTS, lambda all: all[:-1]),
         "fail", ("receipts: receipt_summary says that total is 20, and it is 19",)),
    Case("quarantine records overwritten by an empty file", receipts, raw("ig/quarantine.jsonl", nothing),
         "fail", ("receipts: receipt_summary says that QUARANTINE is 2, and it is 0",), of="ambiguous_publish"),
    Case("a run of duplicates only", summary, only_duplicates,
         "fail", ("nothing that was admitted, only duplicates",), of="duplicate"),
    Case("a run of duplicates only, receipts too", receipts,
         all_of(only_duplicates, line(RECEIPTS, None, {"/decision": "DUPLICATE"})),
         "fail", ("nothing that was admitted, only duplicates",), of="duplicate"),
]

DRILLED = [
    Case("a lock that is not wired: no fault took place", second_writer, edit(SECOND, {"/fault/took_place": 0}),
         "no_data", ("injected 1", "none of them took place"), of="second_writer"),
    Case("a lock that is not wired: two writers", second_writer, edit(SECOND, {"/checks/one_writer": False}),
         "fail", ("one_writer does not hold",), of="second_writer"),
    Case("a second writer that lost by luck", second_writer, edit(SECOND, {"/checks/refused_by_lock": GONE}),
         "no_data", ("does not say whether refused_by_lock holds",), of="second_writer"),
    Case("a drill that injected nothing", duplicate, edit(DUPLICATE, {"/fault/injected": 0, "/fault/took_place": 0}),
         "no_data", ("injected nothing",), of="duplicate"),
    Case("a drill whose replay was skipped", duplicate, edit(DUPLICATE, {"/fault/took_place": 0}),
         "no_data", ("injected 20", "none of them took place"), of="duplicate"),
    Case("a drill half of whose faults took place", duplicate, edit(DUPLICATE, {"/fault/took_place": 10}),
         "fail", ("the number of faults that took place is 10, and it is 20",), of="duplicate"),
    Case("a drill after which an action was double", duplicate, edit(DUPLICATE, {"/checks/no_double_actions": False}),
         "fail", ("no_double_actions does not hold",), of="duplicate"),
]

ELSEWHERE = [
    Case("report missing, a similar one elsewhere", alone("run_report"), moved(REPORT, "obs/platform_run_report.json"),
         "no_data", ("there is nothing at", "obs/platform_run_report.json has a similar name, and is not that file")),
    Case("receipts missing, similar ones elsewhere", receipt_lines, moved(RECEIPTS, "ig/old_receipts.jsonl"),
         "no_data", ("there is nothing at", "ig/old_receipts.jsonl has a similar name")),
    Case("report missing, and closed all the same", closure, removed(REPORT), "no_data", ("there is nothing at", REPORT)),
]

TORN_DOWN = [
    Case("destroyed and preserved at once", alone("teardown_proof"),
         edit(PROOF, {"/preserved": lambda all: [*all, "table:audit"]}),
         "fail", ("table:audit as destroyed and as preserved",)),
    Case("a secret that is still there", alone("teardown_proof"), edit(PROOF, {"/secrets_absent/secret:ig_token": True}),
         "fail", ("ig_token is still there",)),
    Case("a gateway that is still there", alone("teardown_proof"), edit(PROOF, {"/confirmed_absent/nat_gateway": True}),
         "fail", ("nat_gateway is still there",)),
    Case("torn down by half", alone("teardown_proof"), edit(PROOF, {"/destroy_status": "PARTIAL"}),
         "fail", ("the status PARTIAL",)),
    Case("evidence that is not readable after teardown", alone("teardown_proof"),
         edit(PROOF, {"/evidence_readable": False}), "fail", ("the evidence cannot be read any more",)),
    Case("nobody says whether evidence is readable", alone("teardown_proof"), edit(PROOF, {"/evidence_readable": GONE}),
         "no_data", ("whether the evidence can still be read",)),
    Case("nobody says whether secrets are gone", alone("teardown_proof"), edit(PROOF, {"/secrets_absent": {}}),
         "no_data", ("of any secret",)),
    Case("nothing destroyed", alone("teardown_proof"), edit(PROOF, {"/destroyed": []}), "no_data", ("names nothing",)),
    Case("evidence that is gone after teardown", closure, removed(COMPLETED), "no_data", ("there is nothing at", COMPLETED)),
]

CLOSED = [
    Case("closure reference that does not resolve", closure,
         edit(COMPLETED, {"/closure_refs/run_report_ref/ref": "obs/platform_run_report.json"}),
         "no_data", ("closure: run_completed has run_report_ref obs/platform_run_report.json", "no such evidence")),
    Case("closure reference to another file", closure,
         edit(COMPLETED, {"/closure_refs": lambda all: {**all, "run_report_ref": all["reconciliation_ref"]}}),
         "fail", ("which is a reconciliation, no run_report",)),
    Case("closure reference overwritten since", closure, edit(REPORT, {"/rtdl/deduped": add(1)}),
         "fail", ("obs/run_report.json was overwritten after run_completed referred to it",)),
    Case("events appended after closure", closure,
         rows(EVENTS, lambda all: [*all, {**all[-1], "event_id": "f" * 32}]),
         "fail", ("events.jsonl was overwritten after run_completed referred to it",)),
    Case("marker older than what it refers to", closure,
         before_the_run(COMPLETED, "/written_at_utc", 0), "fail", ("is older than run_report, which it refers to",)),
    Case("closed and never ended", closure,
         all_of(rows(EVENTS, without("RUN_ENDED")), edit(COMPLETED, {}, pinned_again=True)),
         "no_data", ("no governance event says RUN_ENDED",)),
    Case("a marker that pins nothing", closure,
         edit(COMPLETED, {"/closure_refs": lambda all: {key: reference["ref"] for key, reference in all.items()}}),
         "no_data", ("obs/run_report.json without its sha256",)),
    Case("a report that was written under no lease", closure,
         edit(REPORT, {"/basis/writer_generation": 0}, pinned_again=True), "no_data", ("was written under no lease",)),
    Case("a report that does not say who wrote it", alone("run_report"), edit(REPORT, {"/basis": {}}),
         "fail", ("lacks the field `lock_key` at /basis", "(missing_field)")),
    *(Case(f"closed, and {family} twice", closure, all_of(rows(EVENTS, again(family)), edit(COMPLETED, {}, pinned_again=True)),
           "fail", (f"governance events say {family} 2 times",)) for family in ("RUN_STARTED", "RUN_ENDED")),
    Case("ended before it began", closure, all_of(rows(EVENTS, ended_first), edit(COMPLETED, {}, pinned_again=True)),
         "fail", ("say RUN_ENDED before RUN_STARTED",)),
    Case("closed and called off", closure, all_of(rows(EVENTS, called_off), edit(COMPLETED, {}, pinned_again=True)),
         "fail", ("a governance event says RUN_CANCELLED",)),
]

UNRESOLVED = [
    Case("PUBLISH_AMBIGUOUS unresolved", unresolved, edit(SUMMARY, {"/admission_states/PUBLISH_AMBIGUOUS": 1}),
         "fail", ("1 in PUBLISH_AMBIGUOUS", "whether they were published is unknown")),
    Case("in flight", unresolved, edit(SUMMARY, {"/admission_states/PUBLISH_IN_FLIGHT": 1}),
         "fail", ("1 in PUBLISH_IN_FLIGHT", "whether they were published is unknown")),
    Case("ambiguous in the anomalies only", alone("anomaly_summary"),
         edit(ANOMALIES, {"/anomaly_counts/ingress_publish_ambiguous": 1, "/anomaly_total": add(1)}),
         "fail", ("ingress_publish_ambiguous 1",)),
]

A_MINUTE = {"clock_skew_s": 60}
OF_THIS_RUN = [
    Case("evidence of another run", summary, of_another_run(SUMMARY, "duplicate"),
         "fail", ("belongs to another run", "(other_run)")),
    Case("evidence of another scenario", summary, edit(SUMMARY, {"/scenario_run_id": "f" * 32}),
         "fail", ("`scenario_run_id` is ffff", "(other_run)")),
    Case("services of another run", alone("daemons_ready"),
         edit(DAEMONS, {"/run_scope/value": "platform_20260101T000000Z"}), "fail", ("run_scope/value", "(other_run)")),
    Case("one line of another run", receipt_lines,
         line(RECEIPTS, 3, {"/platform_run_id": "platform_20260101T000000Z"}), "fail", ("line 4 of", "(other_run)")),
    Case("records of another run", alone("kafka_offsets_snapshot"),
         edit(OFFSETS, {"/partitions/2/sampled_run_id_match": False}), "fail", ("records of another run",)),
    Case("older than the run", alone("receipt_summary", **A_MINUTE), before_the_run(SUMMARY, "/written_at_utc", 120),
         "fail", ("is older than the run", "(before_run)")),
    Case("older than the run within the skew", alone("receipt_summary", **A_MINUTE),
         before_the_run(SUMMARY, "/written_at_utc", 30), "pass", ("add up",)),
    Case("a sample older than the run", alone("kafka_offsets_snapshot"),
         before_the_run(OFFSETS, "/partitions/4/timestamp_utc", 120), "fail", ("`timestamp_utc`", "(before_run)")),
    Case("in the future", alone("receipt_summary", **A_MINUTE), edit(SUMMARY, {"/written_at_utc": ahead(3600)}),
         "fail", ("lies in the future", "a skew of 60 s", "(in_future)")),
    Case("in the future within the skew", alone("receipt_summary", **A_MINUTE),
         edit(SUMMARY, {"/written_at_utc": ahead(30)}), "pass", ("add up",)),
    Case("in the future by the skew that is usual", summary, edit(SUMMARY, {"/written_at_utc": ahead(3600)}),
         "fail", ("a skew of 5 s", "(in_future)")),
    Case("an event in the future", alone("governance_event"), line(EVENTS, 1, {"/ts_utc": ahead(3600)}),
         "fail", ("line 2 of", "(in_future)")),
]


def bytes_of(ask, path, is_lines):
    """What a file can be as a file, once for one object and once for lines."""
    what, first = ("lines", "line 1 of ") if is_lines else ("object", "")
    field, at = ("event_id", 4) if is_lines else ("by_event_type", None)
    where = f"line {at + 1} of " if is_lines else ""
    change = lambda to: line(path, at, to) if is_lines else edit(path, to)
    empty = "has no lines" if is_lines else "is empty"
    return [
        Case(f"{what}: UTF-8 byte order mark", ask, raw(path, byte_order_mark), "fail", (first, "byte order mark", "(byte_order_mark)")),
        Case(f"{what}: CRLF", ask, raw(path, carriage_returns), "fail", ("carriage return in line 1", "(carriage_return)")),
        Case(f"{what}: field missing", ask, change({f"/{field}": GONE}), "fail", (where, f"lacks the field `{field}`", "(missing_field)")),
        Case(f"{what}: unknown field", ask, change({"/note": "x"}), "fail", (where, "has the unknown field `note`", "(unknown_field)")),
        Case(f"{what}: cut off", ask, raw(path, cut), "fail", ("is cut off after", "(truncated)")),
        Case(f"{what}: a key twice", ask, raw(path, key_twice(field)), "fail", (first, f"has the key `{field}` twice", "(duplicate_key)")),
        Case(f"{what}: empty", ask, raw(path, nothing), "no_data", (empty,)),
        Case(f"{what}: not UTF-8", ask, raw(path, lambda data: data.replace(b"platform_", b"\xff\xfe", 1)), "fail", ("(not_utf8)",)),
    ]


BYTES = [
    *bytes_of(summary, SUMMARY, False),
    *bytes_of(receipt_lines, RECEIPTS, True),
    Case("lines: no newline at the end", receipt_lines, raw(RECEIPTS, without_last_newline),
         "fail", ("line 20 of", "is cut off after", "(truncated)")),
    Case("object: something after it", summary, raw(SUMMARY, lambda data: data + data), "fail", ("is no JSON", "(not_json)")),
    Case("the sort of a stream that lost a row", alone("stream_sort_receipt", SORTED),
         edit(SORTED, {"/sorted_stats/row_count": add(-1)}), "fail", ("another row_count after sorting than before",)),
]

ALL = [*VACUOUS, *PLACES, *MISSING, *DRIFT, *COUNTED, *DRILLED, *ELSEWHERE, *TORN_DOWN, *CLOSED, *UNRESOLVED, *OF_THIS_RUN, *BYTES]

# Those that are played in a bucket too.
IN_A_BUCKET = {
    "offsets overwritten in place by an empty epoch", "the basis overwritten after the report", "evidence overwritten",
    "conformance degraded, marker COMPLETED", "receipt ids that collapse", "a drill that injected nothing",
    "report missing, a similar one elsewhere", "evidence that is gone after teardown",
    "closure reference that does not resolve", "closure reference overwritten since", "PUBLISH_AMBIGUOUS unresolved",
    "evidence of another run", "in the future", "object: UTF-8 byte order mark", "object: cut off", "object: empty",
    "lines: CRLF", "lines: no newline at the end",
}
