"""What the platform must refuse, on real servers. Each test makes the fault and sees the refusal.

    CARNET_TEST_S3=… CARNET_TEST_PG16=… python3 -m unittest discover -s tests
"""

import http.client
import json
import os
import tempfile
import unittest
from pathlib import Path
from urllib.parse import urlsplit

from labs import NOTHING, SERVERS, make_lab  # before the platform: it says where that is

import psycopg2

from eventplatform import database, scenario, source, task
from eventplatform.config import Config, Multiset, canonical
from eventplatform.gate import payload_hash
from eventplatform.store import Bucket, Evidence, Folder, WrittenAlready
from supervisor import image, resources, steps, teardown


class Pure(unittest.TestCase):
    def test_a_multiset_ignores_order_and_sees_a_changed_a_lost_and_a_double_row(self):
        def sums(*rows):
            found = Multiset()
            for row in rows:
                found.add(row)
            return found.sums()

        self.assertEqual(sums(b"a", b"b"), sums(b"b", b"a"))
        for other in ((b"a", b"c"), (b"a",), (b"a", b"b", b"b"), (b"ab", b"")):
            self.assertNotEqual(sums(b"a", b"b"), sums(*other))

    def test_evidence_in_a_folder_is_written_once(self):
        with tempfile.TemporaryDirectory() as path:
            Folder(path).put("a/b.json", b"one", once=True)
            with self.assertRaises(WrittenAlready):
                Folder(path).put("a/b.json", b"two", once=True)
            self.assertEqual((Folder(path).get("a/b.json"), list(Folder(path).keys())), (b"one", ["a/b.json"]))

    def test_a_process_for_another_run_does_not_start(self):
        body = {"platform_run_id": "platform_20260101T000000Z", "scenario_run_id": "0" * 32, "settings": {}, "handles": {}}
        os.environ["REQUIRED_PLATFORM_RUN_ID"] = "platform_20260101T000001Z"
        try:
            with self.assertRaisesRegex(SystemExit, "may serve platform_20260101T000001Z only"):
                Config(body)
        finally:
            del os.environ["REQUIRED_PLATFORM_RUN_ID"]
        with self.assertRaisesRegex(SystemExit, "not a platform_run_id"):
            Config({**body, "platform_run_id": "run-1"})

    def test_the_same_files_make_the_same_image(self):
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
            self.assertEqual(image.build(one, "0" * 40), image.build(two, "0" * 40))

    def test_nothing_starts_from_what_is_not_the_layer_of_the_image(self):
        with tempfile.TemporaryDirectory() as folder:
            digest = image.build(folder, "0" * 40)["digest"]
            (Path(folder) / "rootfs" / "proc").mkdir()  # a mount point of a container
            self.assertEqual(image.unpacked(folder), digest)
            source_py = Path(folder) / "rootfs" / image.ROOT / "eventplatform" / "source.py"
            good, more = source_py.read_bytes(), source_py.with_name("more.py")
            for broken in (lambda: source_py.write_bytes(good + b"#"), source_py.unlink, lambda: more.write_bytes(b"")):
                broken()
                with self.assertRaisesRegex(SystemExit, "IMAGE_CHANGED.*(source|more).py"):
                    image.unpacked(folder)
                more.unlink(missing_ok=True)
                source_py.write_bytes(good)
            blob = max((Path(folder) / "image" / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
            blob.write_bytes(blob.read_bytes() + b"x")
            with self.assertRaisesRegex(SystemExit, "IMAGE_CHANGED.*is not what its blob holds"):
                image.unpacked(folder)

    def test_a_role_that_is_told_no_image_does_not_start(self):
        self.assertNotIn("IMAGE_DIGEST", os.environ)
        with self.assertRaisesRegex(SystemExit, "IMAGE_DIGEST is not set"):
            task.image_digest()


@SERVERS
class Down(unittest.TestCase):
    def test_what_stays_is_named_and_the_proof_says_partial(self):
        with tempfile.TemporaryDirectory() as folder:
            lab = make_lab(folder)
            run_id = steps.configure(lab, 20, None)
            steps.once(lab, run_id, "pin")
            forgotten = lab.path("secrets", "forgotten")
            Path(forgotten).write_text("x", encoding="utf-8")
            proof, left = teardown.down(lab)
            self.assertEqual((proof["destroy_status"], left), ("PARTIAL", ["secret:forgotten"]))
            self.assertEqual(proof["secrets_absent"], {"secret:ig_token": False, "secret:forgotten": True})
            self.assertFalse(set(proof["destroyed"]) & set(proof["preserved"]))
            evidence = Evidence(steps.config_of(lab, run_id))
            self.assertIsNone(evidence.read("teardown/teardown_proof.json"))
            tries = [key for key in evidence.root.keys(evidence.ref("teardown/attempts/")) if key.endswith("_proof.json")]
            self.assertEqual([json.loads(evidence.root.get(key))["destroy_status"] for key in tries], ["PARTIAL"])
            self.assertEqual(evidence.read("run.json")["platform_run_id"], run_id)
            os.unlink(forgotten)
            proof, left = teardown.down(lab)
            self.assertEqual((proof["destroy_status"], left), ("DESTROYED", []))
            self.assertIn("process:broker", proof["destroyed"])
            self.assertEqual(proof["secrets_absent"], {"secret:ig_token": False, "secret:forgotten": False})
            self.assertTrue(proof["evidence_readable"])
            first = evidence.digest("teardown/teardown_proof.json")
            teardown.down(lab)
            self.assertEqual(evidence.digest("teardown/teardown_proof.json"), first)
            resources.purge(lab)
            self.assertEqual(resources.inventory(lab), NOTHING)


@SERVERS
class OnServers(unittest.TestCase):
    """One lab; the gate and nothing else runs in it."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.lab = resources.Lab(cls.folder.name)
        cls.addClassCleanup(cls.end)
        cls.lab = make_lab(cls.folder.name)
        cls.run_id = steps.configure(cls.lab, 20, None)
        cls.config = steps.config_of(cls.lab, cls.run_id)
        steps.once(cls.lab, cls.run_id, "pin")
        steps.service(cls.lab, cls.run_id, "ig")
        steps.wait_ready(cls.lab, cls.run_id, ["ig"])
        for name in ("world", "oracle-seed", "oracle-sort"):
            steps.once(cls.lab, cls.run_id, name)
        cls.bucket = Bucket(cls.config.handle("S3_ENDPOINT"), cls.config.handle("S3_OBJECT_STORE_BUCKET"))

    @classmethod
    def end(cls):
        cls.lab.handles = cls.lab.handles or cls.lab.read("lab.json")
        if cls.lab.handles:
            cls.proof, left = teardown.down(cls.lab)
            resources.purge(cls.lab)
            assert not left and cls.proof["destroy_status"] == "DESTROYED", (cls.proof, left)
        cls.folder.cleanup()

    def refused(self, name, why):
        with self.assertRaises(steps.Blocked) as caught:
            steps.once(self.lab, self.run_id, name)
        self.assertIn(why, caught.exception.said)

    def event(self, **changes):
        output = "s3_event_stream_with_fraud_6B"
        row = {"flow_id": changes.pop("flow", "f1"), "event_seq": 3, "ts_utc": "2026-01-01T00:00:00.000Z", "amount_minor": 1, "risk": 0.1}
        return {**source.envelope(self.config, output, row), **changes}

    def post(self, event):
        gate = source.Gate(self.config)
        try:
            return gate.post(event)
        finally:
            gate.close()

    def test_a_changed_part_of_a_stream_view_and_a_lost_one_fail_the_checker(self):
        key = next(k for k in self.bucket.keys(self.config.view_path("arrival_events_5B")) if k.endswith("part-00000.jsonl"))
        whole = self.bucket.get(key)
        first, rest = whole.split(b"\n", 1)
        for broken in (whole.replace(b"m-", b"n-"), rest, rest + first + b"\n"):
            self.bucket.put(key, broken)
            self.refused("oracle-check", "MANIFEST_MISMATCH")
        self.bucket.s3.delete_object(Bucket=self.bucket.name, Key=key)
        self.refused("oracle-check", "STREAM_VIEW_PARTIAL_EXISTS")
        self.bucket.put(key, whole)

    def test_other_inputs_under_the_same_view_are_refused(self):
        key = next(self.bucket.keys(f"{self.config.oracle_path}/inputs/output_id=arrival_events_5B/"))
        whole = self.bucket.get(key)
        self.bucket.put(key, whole.replace(b"m-", b"n-"))
        self.refused("oracle-sort", "STREAM_VIEW_ID_MISMATCH")
        self.bucket.put(key, whole)

    def test_a_source_outside_s3_is_refused(self):
        body = json.loads(json.dumps(self.config.body))
        body["handles"]["ORACLE_SOURCE_URI"] = "/tmp/world"
        from eventplatform import oracle
        with self.assertRaisesRegex(SystemExit, "must be in S3"):
            oracle.seed(Config(body))

    def test_another_configuration_under_the_same_run_id_is_refused(self):
        body = json.loads(json.dumps(self.config.body))
        body["settings"]["seed"] += 1
        with self.assertRaisesRegex(SystemExit, "RUN_PIN_CONFLICT.*config_digest"):
            scenario.pin(Config(body))
        body = json.loads(json.dumps(self.config.body))
        body["handles"]["IMAGE_DIGEST"] = "sha256:" + "0" * 64
        with self.assertRaisesRegex(SystemExit, "RUN_PIN_CONFLICT.*image_digest"):
            scenario.pin(Config(body))

    def test_a_lease_that_is_held_is_busy_and_an_old_one_is_taken_with_a_new_generation(self):
        connection = database.connect(self.config)
        with connection, connection.cursor() as cursor:
            self.assertEqual(scenario.take_lease(cursor, self.config, "key", "one"), 1)
        with connection, connection.cursor() as cursor, self.assertRaisesRegex(SystemExit, "LEASE_BUSY"):
            scenario.take_lease(cursor, self.config, "key", "two")
        with connection, connection.cursor() as cursor:
            cursor.execute("update scenario_lease set expires_at = now() - interval '1 second'")
            self.assertEqual(scenario.take_lease(cursor, self.config, "key", "two"), 2)

    def test_ready_needs_a_checker_that_passed(self):
        self.refused("ready", "no READY")

    def test_nothing_is_streamed_before_ready(self):
        self.refused("stream", "no READY receipt")

    def test_a_second_replica_of_a_service_ends(self):
        self.refused("ig", "DUPLICATE_SERVICE")

    def test_strangers_are_refused_whatever_they_show(self):
        place = urlsplit(self.config.handle("IG_BASE_URL"))
        with open(self.config.handle("IG_TOKEN_FILE"), encoding="utf-8") as file:
            token = file.read()
        for shown in (None, "", "Bearer", "Bearer ", "Bearer x", f"Basic {token}", f"Bearer {token[:-1]}"):
            connection = http.client.HTTPConnection(place.hostname, place.port, timeout=10)
            connection.request("POST", "/v1/ingest/push", canonical(self.event(flow="stranger")),
                               {} if shown is None else {"Authorization": shown})
            self.assertEqual(connection.getresponse().status, 401, shown)
            connection.close()

    def test_the_gate_does_not_open_without_a_token_or_with_one_that_others_can_read(self):
        from eventplatform import gate
        body = json.loads(json.dumps(self.config.body))
        body["handles"]["IG_TOKEN_FILE"] = os.path.join(self.folder.name, "open")
        for text, mode, why in (("x" * 40, 0o644, "read by others"), ("", 0o600, "missing or too short")):
            with open(body["handles"]["IG_TOKEN_FILE"], "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(body["handles"]["IG_TOKEN_FILE"], mode)
            with self.assertRaisesRegex(SystemExit, why):
                gate.serve(Config(body), lambda _: None)

    def test_an_event_of_another_run_is_refused(self):
        status, told = self.post(self.event(platform_run_id="platform_20260101T000000Z"))
        self.assertEqual((status, told), (403, {"error": "RUN_SCOPE"}))

    def test_twice_is_a_duplicate_and_other_content_under_the_same_id_is_quarantined(self):
        event = self.event(flow="twice")
        first, again = self.post(event)[1], self.post(event)[1]
        self.assertEqual((first["decision"], again["decision"]), ("ADMIT", "DUPLICATE"))
        self.assertEqual(first["eb_ref"], again["eb_ref"])
        self.assertNotEqual(first["receipt_id"], again["receipt_id"])
        told = self.post({**event, "payload": {**event["payload"], "amount_minor": 2}})[1]
        self.assertEqual((told["decision"], told["reason_codes"]), ("QUARANTINE", ["PAYLOAD_HASH_MISMATCH"]))

    def test_a_batch_gets_a_receipt_for_each_event_in_order(self):
        one, two, bad = self.event(flow="b1"), self.event(flow="b2"), self.event(flow="b3", schema_version="v9")
        status, told = self.post([one, bad, two, one])
        self.assertEqual((status, [r["decision"] for r in told]), (200, ["ADMIT", "QUARANTINE", "ADMIT", "DUPLICATE"]))
        self.assertEqual([r["event_id"] for r in told], [e["event_id"] for e in (one, bad, two, one)])
        self.assertEqual(self.post([one, {**two, "platform_run_id": "platform_20260101T000000Z"}])[0], 403)

    def test_an_event_in_flight_is_never_sent_again(self):
        event = self.event(flow="in-flight")
        connection = database.connect(self.config)
        with connection, connection.cursor() as cursor:
            cursor.execute("insert into admission (platform_run_id, event_class, event_id, payload_hash, state) "
                           "values (%s, %s, %s, %s, 'PUBLISH_IN_FLIGHT')",
                           (self.run_id, event["event_class"], event["event_id"], payload_hash(event)))
        self.assertEqual(self.post(event)[1]["reason_codes"], ["PUBLISH_IN_FLIGHT_RETRY"])

    def test_an_envelope_that_is_not_in_form_is_quarantined_by_name(self):
        for reason, changes in {
                "ENVELOPE_INVALID": {"payload": None}, "PINS_MISSING": {"parameter_hash": ""},
                "SCHEMA_VERSION_NOT_ALLOWED": {"schema_version": "v2"}, "SCHEMA_POLICY_MISSING": {"event_class": "other"},
                "SCHEMA_FAIL": {"event_type": "other"}, "PARTITION_KEY_MISSING": {"payload": {}}}.items():
            told = self.post(self.event(**changes))[1]
            self.assertEqual((told["decision"], told["reason_codes"]), ("QUARANTINE", [reason]))

    def test_base_truth_cannot_be_changed(self):
        connection = database.connect(self.config)
        self.post(self.event(flow="truth"))
        for statement in ("update receipt set decision = 'ADMIT'", "delete from receipt", "truncate audit", "truncate label",
                          "delete from task_run", "update task_run set task_arn = 'process:x:1'"):
            with self.assertRaisesRegex(psycopg2.errors.RaiseException, "APPEND_ONLY"):
                with connection, connection.cursor() as cursor:
                    cursor.execute(statement)

    def test_evidence_in_s3_is_written_once_and_closure_needs_all_of_it(self):
        evidence = Evidence(self.config)
        with self.assertRaises(WrittenAlready):
            evidence.write("run.json", {})
        self.refused("report", "EVIDENCE_MISSING: wsp/wsp_summary.json")
        self.assertIsNone(evidence.read("run_completed.json"))

    def test_a_reporter_that_loses_writes_at_a_path_that_is_known_before(self):
        evidence, key = Evidence(self.config), f"reporter:{self.run_id}"
        holder = database.connect(self.config)
        holder.autocommit = True
        self.assertTrue(database.try_lock(holder, key))
        try:
            with holder.cursor() as cursor:
                lease = database.one(cursor, "select generation, holder from writer_lease where lock_key = %s", (key,))
            for number in (1, 2):
                with self.assertRaises(steps.Blocked) as caught:
                    steps.once(self.lab, self.run_id, "report")
                self.assertEqual(caught.exception.code, 3)
                found = evidence.read(f"obs/conflict/{number}.json")
                self.assertEqual({name: value for name, value in found.items() if name not in ("written_at_utc", "loser")}, {
                    "platform_run_id": self.run_id, "scenario_run_id": self.config.scenario_run_id, "phase_id": "P11",
                    "conflict": "REPORTER_LOCK_HELD", "lock_key": key, "lock_backend": "db_advisory_lock",
                    "held_by": {"generation": lease[0], "holder": lease[1]} if lease else None})
            self.assertNotEqual(*(evidence.read(f"obs/conflict/{number}.json")["loser"] for number in (1, 2)))
            self.assertIsNone(evidence.read("obs/conflict/3.json"))
        finally:
            holder.close()

    def test_a_lab_in_use_is_not_started_again(self):
        with self.assertRaisesRegex(SystemExit, "is up"):
            resources.choose(self.lab, "http://127.0.0.1:1", "postgres://127.0.0.1:1/x")
        with self.assertRaisesRegex(SystemExit, "is up"):
            resources.up(self.lab)
        with self.assertRaisesRegex(SystemExit, "its services run from the image"):
            resources.make_image(self.lab, "1" * 40)


if __name__ == "__main__":
    unittest.main()
