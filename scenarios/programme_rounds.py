"""Ways round what a programme demands, each refused: a retry by another name, an amendment that changes what has begun
or what the run is pinned to, a block that gets lost, an act without a name, a note from before its phase.
"""

import hashlib
import json
import pathlib

import evidence
import kit
from programme import PLAN, failing, goes_on, refused, write

OTHER_ID = "platform_20260303T030303Z"
# The last phase of `PLAN`, at gate level.
LATER = """- name: substrate
  does: make the substrate
  phase_id: [P0, P1]
  gate_level: true
  entry: [the image is built]
  exit: [the substrate is made]
"""


def a_retry_by_another_name():
    for level in ("L2", "L3", "L4"):
        words = failing(f"round{level}", level)
        said = refused("incident", "settle", words[0], "package/build", "--outcome", "applied", "--reason", "by hand", "--by", "ops", *words[1:], code="programme.unready")
        kit.want("a fresh platform_run_id" in said, said)
        kit.carnet("rollback", *words)
        write("ok", "")
        said = refused("run", *words, code="programme.unready")
        kit.want("package was begun in this run, and taken back: it needs a fresh platform_run_id" in said, said)
    # A fresh run is begun; what was begun in the other one is no matter of it.
    path = pathlib.Path(words[0])
    held = path.read_text()
    run_id = held.split("platform_run_id: ")[1].split("\n")[0]
    path.write_text(held.replace(run_id, OTHER_ID))
    kit.carnet("run", *words, exit=5)
    kit.carnet("phase", "advance", *words)
    goes_on(words)
    # With a lower level it is begun anew under the same run.
    words = failing("roundL0", "L0")
    kit.carnet("rollback", *words)
    kit.carnet("run", *words, exit=5)
    kit.carnet("phase", "advance", *words)
    goes_on(words)


def what_an_amendment_must_leave():
    begun, _, _ = PLAN.partition("- name: substrate")
    write("config.json", '{"b": 1, "a": "x"}\n')
    held = begun.replace("root: store", "root: held_store") + LATER
    write("held.yaml", held)
    words = ["held.yaml", "--state", "held"]
    digest = kit.carnet("check", "held.yaml")["plan_digest"]
    kit.carnet("run", *words, exit=5)
    kit.carnet("phase", "advance", *words)
    kit.carnet("run", *words, exit=5)
    kit.carnet("phase", "block", words[0], "substrate", "--reason", "no money", "--by", "sec", *words[1:])
    run_id = held.split("platform_run_id: ")[1].split("\n")[0]
    for old, new, says in (
        ("image.json', form: image", "run.json', form: run", "the evidence contract of package is another one"),
        (run_id, OTHER_ID, "`programme.run` is another one"),
        ("git-0a1b2c3", "git-1a1b2c3", "`programme.run` is another one"),
        ("root: held_store", "root: other_store", "`programme.evidence_root` is another one"),
        ("- name: substrate", "- name: ground", "substrate is left out, and sec holds it up: no money"),
    ):
        kit.want(old in held, f"{old} is not in the plan")
        write("changed.yaml", held.replace(old, new) + f"amends: sha256:{digest}\n")
        changed = ["changed.yaml", *words[1:]]
        kit.carnet("approve", "changed.yaml", "amendment", "--as", "ops", "--yes", *words[1:])
        said = refused("run", *changed, code="programme.unready")
        kit.want(says in said, f"{old} to {new}: {said}")
    # What is ahead may be written out, and what is said of the phase that has begun may change.
    write("changed.yaml", held.replace("says: build it again", "says: build it once more") + f"amends: sha256:{digest}\n")
    kit.carnet("approve", "changed.yaml", "amendment", "--as", "ops", "--yes", *words[1:])
    kit.carnet("run", "changed.yaml", *words[1:], exit=5)


def who_and_when():
    write("config.json", '{"b": 1, "a": "x"}\n')
    write("who.yaml", PLAN.replace("root: store", "root: who_store"))
    words = ["who.yaml", "--state", "who"]
    kit.carnet("run", *words, exit=5)
    # Said before the phase is set active, it is none of its notes.
    kit.carnet("note", *words, "--text", "too early", "--by", "ops")
    for wrong in (["phase", "advance", *words, "--by", ""], ["phase", "advance", *words, "--by", "  "],
                  ["phase", "block", words[0], "package", "--reason", "", *words[1:]],
                  ["incident", "settle", words[0], "package/build", "--outcome", "applied", "--reason", "x", "--by", "", *words[1:]]):
        done = kit.carnet(*wrong, exit=2, as_json=False)
        kit.want("say something" in done.stderr, done.stderr)
    kit.carnet("phase", "advance", *words, "--by", "ops")
    kit.carnet("run", *words, exit=5)
    shown = kit.carnet("phase", "show", *words)
    kit.want(shown["phases"][0]["status"] == "ACTIVE" and shown["phases"][0]["notes"] == 0, shown)
    kit.want(any("no note was kept" in it["what"] for it in shown["next"]["missing"]), shown)


def evidence_stays_what_it_was():
    write("config.json", '{"b": 1, "a": "x"}\n')
    image = "{path: 'evidence/runs/{platform_run_id}/image.json', form: image}"
    log = "{path: 'evidence/runs/{platform_run_id}/steps.jsonl', form: growing_log}"
    kit.want(image in PLAN, "the plan has another contract")
    write("kept.yaml", PLAN.replace("root: store", "root: kept_store").replace(image, f"{image}, {log}"))
    words = ["kept.yaml", "--state", "kept"]
    run_id = PLAN.split("platform_run_id: ")[1].split("\n")[0]
    paths = [pathlib.Path(f"kept_store/evidence/runs/{run_id}/{name}") for name in ("image.json", "steps.jsonl")]
    kit.carnet("run", *words, exit=5)
    kit.carnet("phase", "advance", *words)
    kit.carnet("run", *words, exit=5)
    kit.carnet("note", *words, "--text", "built")
    for path in paths:
        write(path, '{"at": 1}\n')
    kit.carnet("phase", "advance", *words)
    told = [it for it in evidence.parsed("kept/programme") if it.get("action") == "confirm_evidence"]
    kit.want([it["resource_id"].split("/")[-1] for it in told] == ["image.json", "steps.jsonl"], told)
    digest = hashlib.sha256(b'{"at": 1}\n').hexdigest()
    kit.want(all(digest in json.dumps(it["context"]) for it in told), told)

    def each_way(says):
        # Before the run leaves the phase, and after.
        said = refused("run", *words, code="programme.unready")
        kit.want(says in said and digest in said, said)
        shown = kit.carnet("phase", "show", *words)["next"]
        kit.want(any(says in it["what"] for it in shown["missing"]), shown)

    count = 0
    for left in (False, True):
        if left:
            kit.carnet("run", *words, exit=5)
            kit.want(kit.carnet("phase", "show", *words)["phases"][0]["status"] == "DONE", "the phase is not left")
        for path, text, says in (
            (paths[0], '{"at": 2}\n', "was overwritten since a phase was confirmed with it"),
            (paths[0], '{"at": 1}\n\n', "was overwritten since a phase was confirmed with it"),
            (paths[0], None, "with which a phase was confirmed, is gone"),
            (paths[1], '{"at": 2}\n{"at": 3}\n', "was overwritten since a phase was confirmed with it"),
            (paths[1], '{"at"', "was overwritten since a phase was confirmed with it"),
        ):
            path.unlink() if text is None else path.write_text(text)
            each_way(says)
            path.write_text('{"at": 1}\n')
            count += 1
        # Lines may come after those that were there.
        paths[1].write_text('{"at": 1}\n{"at": 2}\n')
    kit.carnet("phase", "advance", *words)
    return count


def an_exception_is_over_before_its_phase_is_confirmed():
    write("config.json", '{"b": 1, "a": "x"}\n')
    exception = "exceptions: [{gate: package/is_built, label: drift, owner: ops, reason: built elsewhere, expires_at: '2099-01-01T00:00:00Z', approval: late}]\n"
    plan = PLAN.replace("root: store", "root: late_store").replace("path: built", "path: elsewhere")
    plan = plan.replace("approvals: {", "approvals: {late: {any_of: [ops], assurance: named, expires: P1D}, ").replace("\nprogramme:\n", "\n" + exception + "programme:\n")
    write("late.yaml", plan)
    words = ["late.yaml", "--state", "late"]
    run_id = PLAN.split("platform_run_id: ")[1].split("\n")[0]
    pathlib.Path("elsewhere").unlink(missing_ok=True)
    kit.carnet("run", *words, exit=5)
    kit.carnet("phase", "advance", *words)
    kit.carnet("approve", words[0], "late", "--as", "ops", "--yes", *words[1:])
    kit.carnet("run", *words, exit=5)
    kit.carnet("note", *words, "--text", "built elsewhere")
    write(f"late_store/evidence/runs/{run_id}/image.json", "{}\n")
    said = refused("phase", "advance", *words, code="programme.unready")
    kit.want("package/is_built is open by an exception alone (drift: built elsewhere (ops)), and is still no_data: there is no file elsewhere" in said, said)
    write("elsewhere", "x\n")
    kit.carnet("phase", "advance", *words)


def main():
    with kit.workspace():
        write("flow.md", "flow\n")
        write("handles.md", "handles\n")
        a_retry_by_another_name()
        what_an_amendment_must_leave()
        who_and_when()
        an_exception_is_over_before_its_phase_is_confirmed()
        kit.want(evidence_stays_what_it_was() == 10, "not all was tried")
    print("programme: each way round is refused")


if __name__ == "__main__":
    main()
