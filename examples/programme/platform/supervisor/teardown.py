"""Down, with a proof: what was there before, what is there after, and that the evidence can still
be read, byte for byte."""

import os

from eventplatform.config import now, sha256
from eventplatform.store import Evidence
from supervisor import resources
from supervisor.steps import config_of


def named(found):
    """An inventory as one list of names."""
    return sorted([
        *(f"process:{name}" for name in found["processes"]), *(f"container:{name}" for name in found["containers"]),
        *(f"topic:{name}" for name in found["topics"]),
        *(f"bucket:{name}" for name in found["buckets"]), *(f"table:{name}" for name in found["tables"]),
        *(f"secret:{name}" for name in found["secrets"])])


def digests(root):
    return {key: sha256(root.get(key)) for key in sorted(root.keys("evidence/runs/"))}


def write(evidence, proof, lists):
    """The proof is written once, when all is gone. What a try before that left is kept beside it."""
    if evidence.digest("teardown/teardown_proof.json"):
        return
    proven = proof["destroy_status"] == "DESTROYED"
    place = "teardown" if proven else f"teardown/attempts/{now().translate({ord(c): None for c in '-:.'})}"
    evidence.write(f"{place}/resources.json", lists)
    evidence.write(f"{place}/teardown_proof.json", {**proof, "scenario_run_id": evidence.config.scenario_run_id})


def down(lab):
    runs = sorted(name[:-len(".json")] for name in os.listdir(lab.path("runs"))) if os.path.isdir(lab.path("runs")) else []
    # The folder may hold runs of a lab that is gone already; they are none of ours.
    configs = {run: config_of(lab, run) for run in runs}
    roots = {run: Evidence(config) for run, config in configs.items()
             if config.handle("DATABASE_SCHEMA") == lab.handles["DATABASE_SCHEMA"]}
    kept = [run for run, evidence in roots.items() if evidence.digest("run.json")]
    before = resources.inventory(lab)
    # What was there before the first try; others may write more below the same root meanwhile.
    evidence_before = lab.read("evidence-before.json") or (digests(roots[kept[0]].root) if kept else {})
    lab.save("evidence-before.json", evidence_before)
    resources.destroy(lab)
    after = resources.inventory(lab)
    evidence_after = digests(roots[kept[0]].root) if kept else {}
    preserve = {f"bucket:{lab.handles[handle]}" for handle in resources.PRESERVED_BUCKETS}
    # What an earlier try has destroyed already is part of what is gone.
    made, earlier = lab.read("inventory-up.json") or before, lab.read("teardown.json") or {}
    gone = sorted((set(named(made)) | set(named(before))) - set(named(after)))
    left = sorted(set(named(after)) - preserve)
    lost = sorted(preserve - set(named(after)))
    readable = all(evidence_after.get(key) == digest for key, digest in evidence_before.items())
    seen = {f"secret:{name}" for name in [*made["secrets"], *before["secrets"]]} | set(earlier.get("secrets_absent", {}))
    proof = {
        "phase_id": "P12", "destroy_status": "DESTROYED" if readable and not left and not lost else "PARTIAL",
        "confirmed_absent": {  # whether it is still there
            "ecs_services": bool(after["processes"] or after["containers"]), "db": bool(after["tables"]),
            "nat_gateway": any("nat" in name for name in left), "load_balancer": any("balancer" in name for name in left),
            "confluent_cluster": resources.listens(lab.handles["KAFKA_BOOTSTRAP"])},
        "destroyed": gone, "preserved": sorted(preserve),
        "secrets_absent": {name: name.removeprefix("secret:") in after["secrets"] for name in sorted(seen)},
        "evidence_readable": readable}
    lists = {"phase_id": "P12", "captured_at_utc": now(), "before": before, "after": after, "left": left,
             "evidence_digests": evidence_after}
    for run in kept:
        write(roots[run], proof, lists)
    lab.save("teardown.json", {**proof, **lists})
    return proof, left + [f"lost: {name}" for name in lost] + ([] if readable else ["evidence changed"])
