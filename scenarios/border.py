"""What environments claim, where content comes from, and how invariants stand, on real documents:

- the lists of parts and the statements of fixtures/supply-chain are written anew by the libraries of the
  projects that define them, and must be the same bytes; the validators of these projects agree with ours about
  good and damaged ones;
- a list of parts of this very Python environment (cyclonedx-py) is read;
- a run whose gates look at them passes, and is refused for each damage, with the invariant;
- terms of a switch that break a bound are refused; a date that is past closes its gate;
- what was surveyed and erased leaves a receipt; what is still there does not;
- `carnet conformance` says of each invariant how it stands: of the log, and of its export.
"""

import datetime
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys

import kit

FIXTURES = kit.ROOT / "fixtures" / "supply-chain"


def regenerated(folder):
    subprocess.run([sys.executable, FIXTURES / "make.py", folder], check=True)
    for path in sorted(folder.iterdir()):
        kit.want(path.read_bytes() == (FIXTURES / path.name).read_bytes(), f"{path.name} is not what is checked in")


def moment(days):
    at = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(days=days)
    return at.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def terms(shift=0):
    return {
        "notice_date": moment(-20 + shift),
        "transition_starts": moment(-10 + shift),
        "transition_deadline": moment(15 + shift),
        "retrieval_until": moment(50 + shift),
        "erasure_due": moment(60 + shift),
    }


DEPENDENCIES = {
    "service_id": "web",
    "dependencies": [
        {"id": "runtime", "what": "a runtime of OCI images", "version": "1.1", "critical": True,
         "substitutable": True, "alternative": "any other"},
        {"id": "mail", "what": "the mail relay", "version": "2", "critical": True, "substitutable": False,
         "facet": "behavioural", "accepted": {"accepted_by": "ops", "compensation": "mail is queued"}},
    ],
}


class Case:
    """A plan in a folder of its own, with an image that the documents are about."""

    def __init__(self, folder, sbom="sbom-1.6.cdx.json", provenance="provenance.dsse.json"):
        self.folder = folder
        folder.mkdir()
        (folder / "image").write_bytes(b"image")
        shutil.copy(FIXTURES / sbom, folder / "sbom")
        shutil.copy(FIXTURES / provenance, folder / "provenance")
        shutil.copy(FIXTURES / "allowed_signers", folder / "builders")
        (folder / "old").mkdir()
        (folder / "old" / "dump").write_text("rows")
        self.gate = {"content": "image", "sbom": "sbom", "provenance": "provenance", "trust": "builders"}
        self.terms = terms()
        self.dependencies = DEPENDENCIES
        self.erase = "rm -r old/dump"

    def plan(self):
        gates = [
            {"gate": "supply_chain", "with": self.gate},
            {"gate": "term", "with": {"term": "transition_deadline", "at": self.terms["transition_deadline"], "must": "before"}},
        ]
        steps = [
            {"name": "survey", "capability": "erasure.survey",
             "with": {"items": [{"what": "the dump", "path": "old/dump"}]}},
            {"name": "erase", "capability": "command.run",
             "with": {"program": "/bin/sh", "args": ["-c", self.erase], "repeat": "again"},
             "undo": {"capability": "command.run", "with": {"program": "/bin/true", "repeat": "again"}}},
            {"name": "record", "capability": "erasure.record",
             "with": {"surveyed": "retire/survey", "erased_by": "ops"}},
        ]
        plan = {
            "carnet": "v1", "migration": "border", "owner": "ops", "terms": self.terms,
            "dependencies": self.dependencies,
            "phases": [{"name": "retire", "entry": gates, "steps": steps,
                        "exit": [{"gate": "command", "with": {"program": "/bin/true"}}]}],
        }
        path = self.folder / "plan.yaml"
        path.write_text(json.dumps(plan, indent=2))
        return path

    def run(self, exit=0):
        return kit.carnet("run", self.plan(), exit=exit, cwd=self.folder)

    def events(self):
        lines = kit.carnet("evidence", "show", "plan.yaml", as_json=False, cwd=self.folder)
        return lines.stdout

    def standing(self, *words, exit):
        report = kit.carnet("conformance", *words, exit=exit, cwd=self.folder)
        return {line["invariant"]: line for line in report["invariants"]}


def gates_of(report):
    return {gate["gate"]: gate for gate in report["gates"]}


def good(folder):
    for sbom in ["sbom-1.5.cdx.json", "sbom-1.6.cdx.json", "sbom.spdx.json"]:
        case = Case(folder / sbom, sbom=sbom)
        report = case.run()
        gates = gates_of(report)
        supply = next(gate for name, gate in gates.items() if name.endswith("supply_chain"))
        kit.want(supply["verdict"] == "pass", f"{sbom}: {supply}")
        kit.want(supply["damaged"] == supply["refused"] >= 12, f"{sbom}: {supply}")
    return case


def damaged(folder):
    """Each damage with the invariant that it violates."""
    def edit(name, change):
        def apply(case):
            document = json.loads((case.folder / name).read_text())
            change(document)
            (case.folder / name).write_text(json.dumps(document))
        return apply

    def without_dependency(bom):
        bom["dependencies"] = [it for it in bom["dependencies"] if it["ref"] != "busybox"]

    def unidentified(bom):
        for part in bom["components"]:
            part.pop("purl", None)
            part.pop("hashes", None)

    def swap_signature(envelope):
        envelope["signatures"][0]["sig"] = envelope["signatures"][0]["sig"][::-1].lstrip("=") + "=="

    cases = [
        ("other_image", "SUP-01", lambda case: (case.folder / "image").write_bytes(b"Image")),
        ("schema", "SUP-01", edit("sbom", lambda bom: bom["components"][0].update(type="gadget"))),
        ("no_sbom", "SUP-01", lambda case: (case.folder / "sbom").unlink()),
        ("loose", "SUP-03", edit("sbom", without_dependency)),
        ("partial", "SUP-03", edit("sbom", lambda bom: bom.update(compositions=[{"aggregate": "incomplete"}]))),
        ("anything", "SUP-04", edit("sbom", unidentified)),
        ("signature", "SUP-02", edit("provenance", swap_signature)),
        ("stranger", "SUP-02", lambda case: (case.folder / "builders").write_text(
            (case.folder / "builders").read_text().replace("IIQH", "IIQG"))),
        ("unsigned", "SUP-02", lambda case: shutil.copy(FIXTURES / "provenance.json", case.folder / "provenance")),
    ]
    for name, invariant, damage in cases:
        case = Case(folder / name)
        damage(case)
        done = kit.carnet("run", case.plan(), exit=None, cwd=case.folder, as_json=False)
        said = done.stdout + done.stderr
        kit.want(done.returncode == 3, f"{name}: {done.returncode}\n{said}")
        if name != "stranger":
            kit.want(invariant in said, f"{name} does not name {invariant}:\n{said}")
    # A statement that nobody signed is taken where the plan says so.
    case = Case(folder / "plain", provenance="provenance.json")
    case.gate = {"content": "image", "sbom": "sbom", "provenance": "provenance", "unsigned": True}
    case.run()


def validators_agree(folder):
    """The validators of others about what ours refuses by its form."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    for name, version in [("sbom-1.5.cdx.json", SchemaVersion.V1_5), ("sbom-1.6.cdx.json", SchemaVersion.V1_6)]:
        text = (FIXTURES / name).read_text()
        validator = JsonStrictValidator(version)
        kit.want(validator.validate_str(text) is None, f"{name} is refused by the library of its project")
        bad = json.loads(text)
        bad["components"][0]["type"] = "gadget"
        kit.want(validator.validate_str(json.dumps(bad)) is not None, "the library takes a gadget")
    document = parse_file(str(FIXTURES / "sbom.spdx.json"))
    kit.want(validate_full_spdx_document(document) == [], "sbom.spdx.json is refused by spdx-tools")
    listed = folder / "environment.cdx.json"
    subprocess.run([sys.executable, "-m", "cyclonedx_py", "environment", "--output-format", "JSON",
                    "--spec-version", "1.6", "-o", listed, sys.executable], check=True, capture_output=True)
    parts = len(json.loads(listed.read_text())["components"])
    case = Case(folder / "environment")
    shutil.copy(listed, case.folder / "sbom")
    done = kit.carnet("run", case.plan(), exit=3, cwd=case.folder, as_json=False)
    # It follows its schema, and is about no image: that is what is said.
    kit.want("no SBOM is about the digest" in done.stdout + done.stderr, done.stdout + done.stderr)
    return parts


def dates(folder):
    case = Case(folder / "late")
    case.terms = terms(shift=-16)
    done = kit.carnet("run", case.plan(), exit=3, cwd=case.folder, as_json=False)
    kit.want("is past" in done.stdout + done.stderr, done.stdout + done.stderr)
    case = Case(folder / "bounds")
    case.terms["retrieval_until"] = moment(44)
    done = kit.carnet("check", case.plan(), exit=2, cwd=case.folder, as_json=False)
    kit.want("less than 30 days" in done.stdout + done.stderr, done.stdout + done.stderr)
    case = Case(folder / "dates")
    case.run()
    status = kit.carnet("status", "plan.yaml", cwd=case.folder)
    left = {it["term"]: it["days_left"] for it in status["terms"]}
    kit.want(left["transition_deadline"] in (14, 15) and left["notice_date"] < 0, f"{left}")


def erased(folder):
    case = Case(folder / "kept")
    case.erase = "true"
    done = kit.carnet("run", case.plan(), exit=None, cwd=case.folder, as_json=False)
    kit.want(done.returncode == 3 and "is still there" in done.stderr, f"{done.returncode} {done.stderr}")
    # A folder that went as a whole shows nothing.
    case = Case(folder / "unmounted")
    case.erase = "rm -r old"
    done = kit.carnet("run", case.plan(), exit=None, cwd=case.folder, as_json=False)
    kit.want(done.returncode == 3 and "cannot be looked at" in done.stderr, f"{done.returncode} {done.stderr}")
    case = Case(folder / "gone")
    case.run()
    receipt = kit.carnet("evidence", "export", "plan.yaml", "--out", "export", cwd=case.folder)
    kit.want(receipt, "nothing was exported")
    digest = hashlib.sha256(b"rows").hexdigest()
    packs = b"".join(path.read_bytes() for path in (case.folder / "export" / "artifacts").glob("pack-*"))
    kit.want(digest.encode() in packs and b"seen_gone_at" in packs, "the receipt is not in the export")
    kit.want("storage.delete" in case.events(), "no event of the erasure")


def conformance(folder):
    case = Case(folder / "whole")
    case.run()
    lines = case.standing("plan.yaml", exit=3)
    kit.want(len(lines) == 25, f"{len(lines)} lines")
    state = {name: line["state"] for name, line in lines.items()}
    for name in ["EXIT-01", "EXIT-02", "EXIT-04", "INT-01", "INT-02", "INT-03", "DEP-01", "DEP-02", "DEP-03", "DEP-04",
                 "EVID-01", "EVID-02", "EVID-03", "EVID-04", "MIG-05"]:
        kit.want(state[name] == "satisfied" and lines[name]["shown_by"], f"{name}: {lines[name]}")
    # This plan moves nothing, so nothing shows that the way out was gone.
    kit.want(state["EXIT-03"] == "violated" and state["MIG-04"] == "violated", f"{state}")
    for name in ["SUP-01", "SUP-02", "SUP-03", "SUP-04", "EVID-05", "MIG-01", "MIG-02", "MIG-03"]:
        kit.want(state[name] == "not_applicable" and lines[name]["reason"], f"{name}: {lines[name]}")
    kit.carnet("evidence", "export", "plan.yaml", "--out", "export", cwd=case.folder)
    of_export = case.standing("export", exit=3)
    kit.want(of_export["EVID-02"]["state"] == "not_applicable", f"{of_export['EVID-02']}")
    kit.want(of_export["DEP-04"]["state"] == "satisfied", f"{of_export['DEP-04']}")
    # An event that was changed shows, whatever else holds.
    events = case.folder / "export" / "events.jsonl"
    events.write_text(events.read_text().replace('"border"', '"bordeR"', 1))
    kit.want(case.standing("export", exit=3)["EVID-03"]["state"] == "violated", "a changed event")
    # Without dependencies and terms, what they show is violated.
    bare = Case(folder / "bare")
    plan = json.loads(bare.plan().read_text())
    del plan["dependencies"], plan["terms"]
    (bare.folder / "plan.yaml").write_text(json.dumps(plan))
    kit.carnet("run", "plan.yaml", cwd=bare.folder)
    state = {name: line["state"] for name, line in bare.standing("plan.yaml", exit=3).items()}
    for name in ["EXIT-02", "INT-01", "INT-02", "INT-03", "DEP-01", "DEP-02", "DEP-03", "DEP-04", "MIG-05"]:
        kit.want(state[name] == "violated", f"{name}: {state[name]}")


def claims(folder):
    about = folder / "about.json"
    about.write_text(json.dumps({
        "environment": "prod", "jurisdictions": ["DE"], "classifications": ["internal"], "import": ["data_only"],
        "limits": [{"asset": "volume_claim", "why": "volumes are bound to a zone", "alternative": "snapshot_export"}],
    }))
    said = kit.carnet("claims", "--env", about)
    kit.want(said["import"] == ["data_only"] and said["jurisdictions"] == ["DE"], f"{said}")
    limits = {it["asset"]: it for it in said["limits"]}
    kit.want(limits["volume_claim"]["alternative"] == "snapshot_export", f"{limits}")
    kit.want(limits["managed_database_internals"]["alternative"] == "snapshot_export", f"{limits}")
    bare = kit.carnet("claims", env={"PATH": str(folder)})
    kit.want(bare["import"] == ["data_only", "evidence_only"] and bare["runtimes"] == [], f"{bare}")
    kit.want({"podman is not installed", "swtpm is not installed"} <= {it["why"] for it in bare["absent"]}, f"{bare}")
    about.write_text(json.dumps({"environment": "prod", "jurisdictions": "DE", "colour": 1}))
    done = kit.carnet("claims", "--env", about, exit=7, as_json=False)
    kit.want("/colour" in done.stderr and "classifications" in done.stderr, done.stderr)


def scenario(folder):
    folder = pathlib.Path(folder)
    regenerated(folder / "again")
    parts = validators_agree(folder)
    good(folder)
    damaged(folder)
    dates(folder)
    erased(folder)
    conformance(folder)
    claims(folder)
    print(f"border: 3 lists of parts, {parts} parts of this Python, 9 damages, 25 invariants")


kit.main(scenario)
