"""What the phases before the run leave behind: evidence of what was there, for gates to judge."""

import os

from eventplatform.config import sha256
from eventplatform.store import Evidence, WrittenAlready
from supervisor import resources
from supervisor.steps import config_of


def record(lab, run_id, phase_id, path, body):
    evidence = Evidence(config_of(lab, run_id))
    written = evidence.write(path, {"scenario_run_id": evidence.config.scenario_run_id, "phase_id": phase_id, **body})
    return {"written": written}


def digest_of(path):
    with open(path, "rb") as file:
        return sha256(file.read())


def authority(lab, run_id, files):
    """The documents that the programme is bound to, in their order of precedence."""
    listed = [{"file": os.path.basename(path), "sha256": digest_of(path)} for path in files]
    return record(lab, run_id, "pre-P-1", "authority/authority.json", {"documents": listed})


def provenance(lab, run_id, _files):
    """What the image is, and from which revision."""
    return record(lab, run_id, "P-1", "packaging/image_provenance.json", lab.read("image.json"))


def substrate(lab, run_id, _files):
    """All that was made, as the servers list it."""
    found = resources.inventory(lab)
    found["processes"] = sorted(found["processes"])
    return record(lab, run_id, "P0", "substrate/substrate_ready.json", {"resources": found})


def withdraw(lab, run_id, what):
    """That a step was taken back, beside what it wrote: evidence is never deleted. A second time
    finds it said."""
    try:
        return record(lab, run_id, None, f"withdrawn/{what}.json", {"withdrawn": what})
    except WrittenAlready:
        return {"written": None}


RECORDS = {"authority": authority, "image": provenance, "substrate": substrate}
