"""What no bundle moves as it is, refused with the other way, which then works.

- A volume of a workload: the export is refused (`workload.stateful`), with an event, and nothing is left. The
  other way, `object_export`: the files of the volume cross as data (`data_only`), byte for byte.
- The internals of a managed database: claims refuse them (`claims`), with an event and the other way,
  `snapshot_export`. That is gone on PostgreSQL 18: the table crosses as a snapshot (`data_only`) and arrives
  with the same root.
- A target that claims less takes less: each claim that it does not make is named.
"""

import json
import pathlib
import shutil
import subprocess
import sys

import evidence
import kit

LAB = """carnet: v1
migration: {name}
owner: data-platform
governance: {{ jurisdiction: DE, classification: internal, retention: P365D }}
evidence: {{ profile: ecs-evidence-admissible, signer: keys/operator }}
trust: trust/allowed_signers
dependencies:
  service_id: web
  dependencies:
    - {{ id: runtime, what: a runtime of OCI images, version: "1.1", critical: true, substitutable: true, alternative: any other }}
process: portability/v1
portability:
  scenario: {scenario}
{more}
  source:
    name: lab
{source}
  target:
    name: prod
    jurisdiction: FR
    accepts: [public, internal]
    place: prod/place
    policies: prod/policies
    authorities: prod/allowed_signers
    keys: [keys/operator.vkey]
    claims: claims.json
{target}
  policy: {{ folder: ../policy }}
  transfer: {{ outbox: lab/outbox, inbox: prod/inbox }}
  downtime_expected: PT5M
"""

COMPOSE = """services:
  web:
    image: carnet.example/web:v1
    command: [httpd, -f, -p, "127.0.0.1:18080", -h, /srv]
    volumes:
      - uploads:/srv
volumes:
  uploads:
"""


class Lab:
    """A plan in a folder of its own, with the policies of the example beside it."""

    def __init__(self, home, name, scenario, source, target="", more=""):
        self.name, self.folder = name, home / name
        if not (home / "policy").exists():
            shutil.copytree(kit.ROOT / "examples" / "policy", home / "policy")
        for made in ["trust", "prod"]:
            (self.folder / made).mkdir(parents=True)
        self.carnet("key", "new", "keys/operator", as_json=False)
        known = "lab vkey " + (self.folder / "keys" / "operator.vkey").read_text()
        for trusted in ["trust", "prod"]:
            (self.folder / trusted / "allowed_signers").write_text(known)
        self.claims()
        plan = LAB.format(name=name, scenario=scenario, source=source, target=target, more=more)
        (self.folder / "migration.yaml").write_text(plan)

    def carnet(self, *words, **options):
        return kit.carnet(*words, cwd=self.folder, **options)

    def claims(self, change=None):
        """The claims of the target, as its own build prints them."""
        claims = self.carnet("claims")
        if change:
            change(claims)
        (self.folder / "claims.json").write_text(json.dumps(claims))

    def refusals(self, name=None):
        events = evidence.parsed(self.folder / ".carnet" / (name or self.name))
        return [event for event in events if event["outcome"] == "refused"]


def volume(home):
    subprocess.run([sys.executable, kit.ROOT / "examples" / "container" / "make.py", home / "image"], check=True)
    source = """    container: { image: "oci:../image", definition: compose.yaml }
    stop: { program: "true" }
    start: { program: "true" }"""
    target = "    container: { into: prod/web }"
    lab = Lab(home, "volume", "container", source, target, more="  workload_id: web\n  health: [{ gate: command, with: { program: \"true\" } }]")
    (lab.folder / "compose.yaml").write_text(COMPOSE)
    done = lab.carnet("run", "migration.yaml", exit=3, as_json=False)
    kit.want("uploads" in done.stderr and "workload.stateful" in done.stderr, done.stderr)
    refused = [it for it in lab.refusals() if it["refusal_reason_code"] == "workload.stateful"]
    kit.want(refused and refused[0]["refusal_reason_class"] and refused[0]["refusal_subject"], f"{lab.refusals()}")
    kit.want(not (lab.folder / "prod" / "place").exists(), "something was placed")
    kit.want(not (lab.folder / "lab" / "outbox" / "bundle").exists(), "a bundle was left")
    # The other way: what is in the volume crosses as data.
    uploads = home / "uploads.parquet"
    vectors, rows = kit.synthetic(50)
    kit.write_faiss(home / "faiss", vectors, rows)
    made = kit.carnet("snapshot", "export", f"faiss:{home / 'faiss'}", "--out", home / "made")
    kit.want(made, "no file to put into the volume")
    shutil.copy(next((home / "made").glob("*/embeddings.parquet")), uploads)
    other = Lab(home, "uploads", "data_only", "    data: { parquet: [../uploads.parquet] }")
    other.carnet("run", "migration.yaml")
    arrived = other.folder / "prod" / "place" / "data" / "uploads.parquet"
    kit.want(arrived.read_bytes() == uploads.read_bytes(), "the file is not what it was")
    return other


def database(home, bundle):
    """`bundle` is one that crosses otherwise."""
    gate = home / "internals"
    gate.mkdir()
    (gate / "claims.json").write_text(json.dumps(kit.carnet("claims")))
    plan = {
        "carnet": "v1", "migration": "internals", "owner": "ops",
        "phases": [{"name": "see", "exit": [{"gate": "claims", "with": {
            "bundle": str(bundle), "claims": "claims.json",
            "stateful": [{"asset": "managed_database_internals", "name": "shop"}]}}]}],
    }
    (gate / "plan.yaml").write_text(json.dumps(plan))
    done = kit.carnet("run", "plan.yaml", exit=3, cwd=gate, as_json=False)
    said = done.stdout + done.stderr
    kit.want("managed_database_internals:shop" in said and "snapshot_export" in said, said)
    events = evidence.parsed(gate / ".carnet" / "internals")
    refused = [it for it in events if it["outcome"] == "refused" and it["event_type"] == "migration.refusal"]
    kit.want(refused and refused[0]["refusal_reason_code"] == "gate.closed", f"{refused}")
    # Without them, the same bundle is taken.
    del plan["phases"][0]["exit"][0]["with"]["stateful"]
    plan["migration"] = "taken"
    (gate / "plan.yaml").write_text(json.dumps(plan))
    kit.carnet("run", "plan.yaml", cwd=gate)
    # The other way: the records of the table cross as a snapshot.
    url = kit.database(18, "limits")
    vectors, rows = kit.synthetic(300)
    kit.write_faiss(home / "shop", vectors, rows)
    kit.carnet("copy", f"faiss:{home / 'shop'}", f"{url}?table=shop")
    lab = Lab(home, "table", "data_only", f"    data: {{ store: \"{url}?table=shop\" }}",
              target="    store: \"sqlite:prod/shop.sqlite\"")
    lab.carnet("run", "migration.yaml")
    before, after = kit.roots(f"{url}?table=shop"), kit.roots(f"sqlite:{lab.folder / 'prod' / 'shop.sqlite'}")
    kit.want(sorted(before.values()) == sorted(after.values()) and before, f"{before} {after}")


def less(home):
    """Each claim that a target does not make is named."""
    for name, change, word in [
        ("country", lambda it: it.update(jurisdictions=["US"]), "jurisdiction"),
        ("secret", lambda it: it.update(classifications=["public"]), "classification"),
        ("form", lambda it: it.update(bundle_versions=["carnet-bundle-0"]), "version"),
        ("scenario", lambda it: it.update({"import": ["evidence_only"]}), "evidence_only"),
    ]:
        lab = Lab(home, name, "data_only", "    data: { parquet: [../uploads.parquet] }")
        lab.claims(change)
        done = lab.carnet("run", "migration.yaml", exit=3, as_json=False)
        kit.want(word in done.stdout + done.stderr, f"{name}: {done.stdout}{done.stderr}")
        kit.want(any(it["refusal_reason_code"] == "gate.closed" for it in lab.refusals()), f"{lab.refusals()}")
        kit.want(not (lab.folder / "prod" / "place").exists(), f"{name}: something was placed")


def scenario(folder):
    home = pathlib.Path(folder)
    crossed = volume(home)
    database(home, crossed.folder / "prod" / "inbox" / "bundle")
    less(home)
    print("limits: a volume and a database were refused and crossed otherwise; 4 claims were missed")


kit.main(scenario)
