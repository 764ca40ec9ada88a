"""A run is read again when all but its evidence and its archive is gone, and what was changed in them is seen."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from labs import SERVERS, make_lab  # before the platform: it says where that is

from eventplatform.config import canonical, sha256
from eventplatform.store import Bucket
from supervisor import resources, steps, teardown


@SERVERS
class AfterDown(unittest.TestCase):
    """A run that is over, and whose lab is gone; its evidence and its archive are kept."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.lab = make_lab(os.path.join(cls.folder.name, "lab"), evidence=os.path.join(cls.folder.name, "evidence"))
        cls.addClassCleanup(lambda: (teardown.down(cls.lab), resources.purge(cls.lab)))
        cls.run_id = steps.configure(cls.lab, 20, None)
        cls.said = steps.run(cls.lab, cls.run_id, lambda _: None)
        proof, left = teardown.down(cls.lab)
        assert not left and proof["destroy_status"] == "DESTROYED", (proof, left)
        cls.archive = Bucket(cls.lab.handles["S3_ENDPOINT"], cls.lab.handles["S3_ARCHIVE_BUCKET"])
        cls.objects = sorted(cls.archive.keys(f"archive/{cls.run_id}/topic=fp.bus.traffic.fraud.v1/"))

    def again(self, *more, code=0, folder="evidence", lab="nowhere"):
        """As a person would say it, with a folder that is no lab: there is nothing to ask but S3."""
        words = [sys.executable, str(resources.HERE / "lab.py"), "--dir", os.path.join(self.folder.name, lab), "replay-archive",
                 "--evidence", os.path.join(self.folder.name, folder), "--s3", os.environ["CARNET_TEST_S3"], *more]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def changed(self, *changes):
        """The evidence with some of its files changed: (path, how), in a folder of its own."""
        with tempfile.TemporaryDirectory(dir=self.folder.name) as place:
            shutil.copytree(os.path.join(self.folder.name, "evidence"), place, dirs_exist_ok=True)
            for path, how in changes:
                path = Path(place) / "evidence" / "runs" / self.run_id / path
                body = json.loads(path.read_text(encoding="utf-8"))
                how(body)
                path.write_text(json.dumps(body), encoding="utf-8")
            yield place

    def made_again(self, folder):
        """The digests that lead from the closure to the snapshot, as they would be of these files."""
        home = Path(folder) / "evidence" / "runs" / self.run_id

        def pin(path, refs, name):
            body = json.loads((home / path).read_text(encoding="utf-8"))
            for ref in refs(body):
                if ref["ref"].endswith(name):
                    ref["sha256"] = sha256((home / name).read_bytes())
            (home / path).write_text(json.dumps(body), encoding="utf-8")

        pin("obs/replay_anchors.json", lambda body: body["source_refs"], "ingest/kafka_offsets_snapshot.json")
        pin("run_completed.json", lambda body: body["closure_refs"].values(), "obs/replay_anchors.json")

    def put_back(self, key):
        whole = self.archive.get(key)
        self.addCleanup(self.archive.put, key, whole)
        return whole

    def test_it_gives_what_the_run_was(self):
        found = self.again()
        self.assertEqual((found["status"], found["row_count"], found["admitted"], found["foreign"]), ("PASS", 20, 20, 0))
        self.assertEqual({name: found[name] for name in found["run"]}, found["run"])
        self.assertEqual(found["archive"], f"s3://{self.archive.name}")

    def test_a_changed_record_gives_another_digest(self):
        whole = self.put_back(self.objects[0])
        self.assertIn(b'"amount_minor":', whole)
        self.archive.put(self.objects[0], whole.replace(b'"amount_minor":', b'"amount_minor":1', 1))
        found = self.again(code=5)
        self.assertEqual((found["status"], found["row_count"]), ("FAIL", 20))
        self.assertNotEqual(found["hash_sum"], found["run"]["hash_sum"])

    def test_a_record_of_another_run_is_counted_and_fails(self):
        whole = self.put_back(self.objects[0])
        other = f'"platform_run_id":"{self.run_id}"'.encode()
        self.assertIn(other, whole)
        self.archive.put(self.objects[0], whole.replace(other, b'"platform_run_id":"platform_20260101T000000Z"', 1))
        found = self.again(code=5)
        self.assertEqual((found["foreign"], found["row_count"]), (1, 19))
        # One more record than there were, and the end of the range moved behind it.
        self.archive.put(self.objects[0], whole)
        last = self.put_back(self.objects[-1])
        more = json.loads(last.splitlines()[-1])
        more["offset"] += 1
        more["record"]["platform_run_id"] = "platform_20260101T000000Z"
        self.archive.put(self.objects[-1], last + canonical(more) + b"\n")
        partition = int(self.objects[-1].split("/partition=")[1].split("/")[0])

        def move(body):
            row = next(row for row in body["partitions"] if "traffic" in row["topic"] and row["partition"] == partition)
            row["end_offset"] += 1

        with self.changed(("ingest/kafka_offsets_snapshot.json", move)) as folder:
            self.made_again(folder)
            found = self.again(code=5, folder=folder)
            self.assertEqual((found["foreign"], found["row_count"], found["hash_sum"]), (1, 20, found["run"]["hash_sum"]))

    def test_a_lost_object_and_a_lost_record_are_missed(self):
        for key, left in ((self.objects[0], None), (self.objects[-1], None), (self.objects[-1], -1)):
            whole = self.put_back(key)
            if left is None:
                self.archive.s3.delete_object(Bucket=self.archive.name, Key=key)
            else:
                self.archive.put(key, b"".join(whole.splitlines(True)[:left]))
            why = self.again(code=5)["why"]
            self.assertTrue("is missing" in why or " ends at " in why, why)
            self.archive.put(key, whole)

    def test_an_anchor_that_is_not_the_one_that_closed_the_run_is_refused(self):
        def move(body):
            body["anchors"]["ingest"][0]["offset"] += 1

        with self.changed(("obs/replay_anchors.json", move)) as folder:
            self.assertIn("obs/replay_anchors.json is not the one", self.again(code=5, folder=folder)["why"])

    def test_an_anchor_that_is_wrong_with_all_digests_made_again_finds_the_archive_otherwise(self):
        def move(body):
            rows = body["anchors"]["ingest"]
            at = next(index for index, row in enumerate(rows) if "traffic" in row["topic"] and f"partition={row['partition']}/" in self.objects[0])
            rows[at]["offset"] += 1

        with self.changed(("obs/replay_anchors.json", move)) as folder:
            self.made_again(folder)
            self.assertIn("is missing", self.again(code=5, folder=folder)["why"])

    def test_a_snapshot_that_the_anchors_do_not_pin_and_other_sums_are_refused(self):
        with self.changed(("ingest/kafka_offsets_snapshot.json", lambda body: body["partitions"].reverse())) as folder:
            self.assertIn("kafka_offsets_snapshot.json is not the one", self.again(code=5, folder=folder)["why"])
        with self.changed(("certification/semantic_digest.json", lambda body: body["sections"]["admitted"].update(row_count=19))) as folder:
            self.assertEqual(self.again(code=5, folder=folder)["status"], "FAIL")
        with self.changed(("ingest/receipt_summary.json", lambda body: body["by_outcome"].update(ADMIT=21))) as folder:
            self.assertEqual(self.again(code=5, folder=folder)["status"], "FAIL")

    def test_a_run_that_is_not_in_the_evidence_is_not_read_again(self):
        self.again("--run-id", "platform_20260101T000000Z", code=5)
        self.assertIn("anchors of 0 runs", self.again(code=5, folder="lab")["why"])

    def test_a_bundle_is_read_and_each_of_its_bytes_is_checked(self):
        home = Path(self.folder.name) / "evidence" / "evidence" / "runs" / self.run_id
        names = ["run_completed.json", "obs/replay_anchors.json", "ingest/kafka_offsets_snapshot.json", "ingest/receipt_summary.json",
                 "certification/semantic_digest.json", "rtdl_core/archive_progress.json"]
        texts = {name: (home / name).read_bytes() for name in names}
        facts = json.dumps({"files": [
            {"path": f"evidence/runs/{self.run_id}/{name}", "found": {"said": {"text": text.decode()}, "sha256": sha256(text)}}
            for name, text in texts.items()]}).encode()
        with tempfile.TemporaryDirectory(dir=self.folder.name) as place:
            (Path(place) / "artifacts").mkdir()
            row = {"pack": "artifacts/pack-0", "offset": 3, "bytes": len(facts), "sha256": sha256(facts)}
            (Path(place) / "artifacts" / "index.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
            (Path(place) / "artifacts" / "pack-0").write_bytes(b"---" + facts)
            self.assertEqual(self.again(folder=place)["status"], "PASS")
            (Path(place) / "artifacts" / "pack-0").write_bytes(b"---" + facts.replace(b"ADMIT", b"ADMIX", 1))
            self.assertIn("is not what the index says", self.again(code=5, folder=place)["why"])


if __name__ == "__main__":
    unittest.main()
