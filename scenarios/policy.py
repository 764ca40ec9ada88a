"""Policies on the real program: the example decides as it says, also by an engine that shares no code
with ours; everything that is no clear yes is refused, and nothing that a module does harms the program;
a plan puts a snapshot in force and is stopped by it; and whoever verifies the evidence decides again.
"""

import json
import shutil
import subprocess
import time

import kit

EXAMPLE = kit.ROOT / "examples" / "policy"
YES_AND_NO = {
    "tests": [
        {"name": "yes", "input": {"x": 1}, "decision": {"verdict": "allow"}},
        {"name": "no", "input": {"x": 2}, "decision": {"verdict": "deny"}},
    ]
}
PLAIN = "default allow := false\nallow if input.x == 1\n"


def self_tests(folder):
    return json.loads((folder / "self-tests.json").read_text())["tests"]


def policy(folder, body=PLAIN, tests=YES_AND_NO, limits=None):
    """A policy of one module."""
    folder.mkdir(parents=True)
    (folder / "m.rego").write_text(f"package carnet.admission\n\n{body}")
    (folder / "self-tests.json").write_text(json.dumps(tests))
    if limits:
        (folder / "policy.json").write_text(json.dumps({"limits": limits}))
    return folder


def refused(code, exit, *words):
    done = kit.carnet(*words, exit=exit, as_json=False)
    kit.want(code in done.stderr, f"{words}: not {code}\n{done.stdout}{done.stderr}")


def decide(folder, place, input, exit):
    file = place / "input.json"
    file.write_text(json.dumps(input))
    return kit.carnet("policy", "decide", folder, "--input", file, exit=exit)


def second_engine():
    """The verdicts and reasons of rego-cpp on the self-tests of the example."""
    try:
        from regopy import Interpreter
    except ImportError as error:
        print(f"SKIPPED: no second engine: {error}")
        return
    rego = Interpreter()
    for module in sorted(EXAMPLE.glob("*.rego")):
        rego.add_module(module.name, module.read_text())
    rego.add_data(json.loads((EXAMPLE / "data.json").read_text()))
    compared = 0
    for test in self_tests(EXAMPLE):
        rego.set_input(test["input"])
        said = json.loads(str(rego.query("said = data.carnet.admission")))["bindings"]["said"]
        key = lambda one: [one[part] for part in ("class", "code", "subject", "message", "remedy")]
        reasons = sorted(said["deny"], key=key)
        verdict = "allow" if said["allow"] is True and not reasons else "deny"
        decision = {"verdict": verdict, **({"reasons": reasons} if reasons else {})}
        kit.want(decision == test["decision"], f"{test['name']}: {decision} is not {test['decision']}")
        compared += 1
    print(f"a second engine decided {compared} self-tests in the same way")


def example(place):
    checked = kit.carnet("policy", "check", EXAMPLE)
    kit.want(checked["ok"] and len(checked["self_tests"]) == len(self_tests(EXAMPLE)), checked)
    for test in self_tests(EXAMPLE)[::4]:
        allowed = test["decision"]["verdict"] == "allow"
        answer = decide(EXAMPLE, place, test["input"], exit=0 if allowed else 3)
        kit.want(answer["decision"] == test["decision"] and answer["rules"] > 0, answer)
    one, two = place / "one", place / "two"
    digest = kit.carnet("policy", "snapshot", EXAMPLE, "--out", one)["snapshot"]
    kit.want(kit.carnet("policy", "snapshot", one, "--out", two)["snapshot"] == digest, "another digest")
    summed = subprocess.run(["sha256sum", one / "snapshot.json"], capture_output=True, text=True, check=True)
    kit.want(summed.stdout.startswith(digest), f"{summed.stdout} is not {digest}")
    same = subprocess.run(["diff", "-r", one, two], capture_output=True, text=True)
    kit.want(same.returncode == 0, same.stdout)
    refused("snapshot.exists", 3, "policy", "snapshot", EXAMPLE, "--out", one)
    # A snapshot is what its document says, or it is refused.
    module = two / "modules" / "jurisdiction.rego"
    module.write_text(module.read_text().replace("not to in allowed", "to in allowed"))
    refused("policy.damaged", 3, "policy", "check", two)
    shutil.copy(one / "modules" / "jurisdiction.rego", module)
    (two / "modules" / "more.rego").write_text("package carnet.admission\nallow := true\n")
    refused("policy.damaged", 3, "policy", "check", two)
    (two / "modules" / "more.rego").unlink()
    (two / "self-tests.json").unlink()
    refused("policy.malformed", 7, "policy", "check", two)
    return digest


def no_clear_yes(place):
    """Each way of not saying yes, with the word that it is told by."""
    slow = "allow if {\n\tsome i in numbers.range(1, 4000)\n\tsome j in numbers.range(1, 4000)\n\ti * j == -1\n}\n"
    double = "a0 := [1, 2, 3, 4]\n" + "".join(f"a{n + 1} := array.concat(a{n}, a{n})\n" for n in range(32))
    cases = {
        "undefined": ("allow if input.x == 1\n", None, "undefined"),
        "denied": (PLAIN, None, "deny"),
        "error": ('allow if not to_number("x") == 1\n', None, "error"),
        "no_form": ("allow := true\ndeny contains 1\n", None, "error"),
        "no_rules": ("other := 1\n", None, "no_rules"),
        "default_alone": ("default allow := true\n", None, "no_rules"),
        "time_out": (slow, {"time_ms": 100}, "timed_out"),
        # One builtin that is one long piece of work, and rules that need all memory.
        "endless": ("allow if f(1)\nf(x) := f(x)\n", {"time_ms": 20_000}, "error"),
        "long_builtin": ("allow if count(numbers.range(1, 2000000000)) == 1\n", {"time_ms": 500}, None),
        "all_memory": (f"{double}allow if count(a32) == 1\n", {"time_ms": 20_000}, "error"),
    }
    for name, (body, limits, wanted) in cases.items():
        began = time.monotonic()
        answer = decide(policy(place / name, body, limits=limits), place, {"x": 2}, exit=3)
        verdict = answer["decision"]["verdict"]
        kit.want(verdict == wanted if wanted else verdict in ("error", "timed_out"), f"{name}: {answer}")
        kit.want(time.monotonic() - began < 30, f"{name} took too long")
    kit.want(decide(place / "denied", place, {"x": 1}, exit=0)["decision"] == {"verdict": "allow"}, "no yes")
    file = place / "input.json"
    for text in ('{"x": 1.5}', '{"x": 1, "x": 1}', "no json", '{"x": 9007199254740993}'):
        file.write_text(text)
        refused("policy.input", 7, "policy", "decide", place / "denied", "--input", file)
    file.write_text(json.dumps({"x": "0" * 2_000_000}))
    refused("policy.limit", 3, "policy", "decide", place / "denied", "--input", file)


def no_policy(place):
    cases = {
        "clock": ("allow if time.now_ns() > input.x\n", "policy.builtin"),
        "chance": ('allow := true\nidle if rand.intn("x", 2) == 1\n', "policy.builtin"),
        "network": ('allow := true\nidle if http.send({"method": "get", "url": "http://h"})\n', "policy.builtin"),
        "mock": ("allow if count(input.x) == 1 with count as rand.intn\n", "policy.builtin"),
        "syntax": ("allow if {\n", "policy.compile"),
        "unsafe": ("allow if y > 1\n", "policy.compile"),
        # The parser needs years for it: it is cut off.
        "brackets": (f"allow := {'[' * 80}{']' * 80}\n", "policy.limit"),
    }
    for name, (body, code) in cases.items():
        refused(code, 3, "policy", "check", policy(place / name, body))
    refused("policy.self_test", 3, "policy", "check", policy(place / "other", "default allow := false\nallow if input.x == 2\n"))
    vacuous = {"tests": [YES_AND_NO["tests"][0]]}
    refused("policy.self_test", 3, "policy", "check", policy(place / "vacuous", tests=vacuous))
    refused("policy.limit", 3, "policy", "check", policy(place / "greedy", limits={"time_ms": 60_000}))


KEY = "openpgp 0123456789ABCDEF0123456789ABCDEF01234567"


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


class Yard:
    """A folder with a plan that puts the example in force, and lets something in by it."""

    def __init__(self, folder, digest):
        self.folder, self.digest = folder, digest
        folder.mkdir()
        kit.carnet("policy", "snapshot", EXAMPLE, "--out", folder / "arrived")
        self.input = next(it for it in self_tests(EXAMPLE) if it["decision"]["verdict"] == "allow")["input"]
        self.write("input.json", json.dumps(self.input))
        self.write("authority.json", canonical(self.input["authority"]))
        self.write("allowed_signers", f"ops@example.org {KEY}\n")
        self.write("content", "what is let in\n")
        self.plan = folder / "plan.yaml"
        self.plan.write_text(f"""
carnet: v1
migration: admission
owner: lab
phases:
  - name: enforce
    does: put the policy in force
    entry:
      - gate: authority
        with: {{ authority: authority.json, trust: allowed_signers }}
    steps:
      - name: policy
        capability: policy.enforce
        with:
          snapshot: arrived
          sha256: {digest}
          authority: authority.json
          trust: allowed_signers
          place: policy
    exit:
      - gate: file
        with: {{ path: policy/current }}
  - name: admit
    does: let it in
    entry:
      - gate: policy
        with: {{ policy: policy, snapshot: {digest}, input: input.json }}
    steps:
      - name: place
        capability: file.copy
        with: {{ from: content, to: inside/content }}
    exit:
      - gate: file
        with: {{ path: inside/content }}
""")

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def run(self, exit):
        return kit.carnet("run", self.plan, "--state", self.folder / "state", exit=exit, as_json=False)

    def events(self):
        import evidence

        return evidence.parsed(self.folder / "state")

    def verify(self, exit):
        out = self.folder / f"evidence-{len(list(self.folder.glob('evidence-*')))}"
        kit.carnet("evidence", "export", self.plan, "--state", self.folder / "state", "--out", out, "--incomplete")
        done = kit.carnet("evidence", "verify", out, exit=None)
        row = next(row for row in done["checks"] if row["id"] == "policy.replay")
        return row


def told(event):
    return tuple(event.get(f"refusal_{name}") for name in ("reason_class", "reason_code", "subject"))


def of(events, event_type, action):
    return [it for it in events if it["event_type"] == event_type and it.get("action") == action]


def in_force(place, digest):
    yard = Yard(place / "in_force", digest)
    yard.run(exit=0)
    current = (yard.folder / "policy" / "current").read_text()
    kit.want(current == f"sha256:{digest}\n", current)
    kit.want((yard.folder / "inside" / "content").exists(), "it was not let in")
    events = yard.events()
    for event_type, action in (
        ("authority.check", "check_authority"),
        ("authority.check", "enforce_policy"),
        ("policy.evaluate", "test_policy"),
        ("policy.evaluate", "evaluate_policy"),
    ):
        found = of(events, event_type, action)
        kit.want(len(found) == 1 and found[0]["outcome"] == "accepted", f"{event_type} {action}: {found}")
    row = yard.verify(exit=None)
    kit.want(row["verdict"] == "pass", row)
    # The way back takes the policy out of force.
    kit.carnet("rollback", yard.plan, "--state", yard.folder / "state", as_json=False)
    kit.want(not (yard.folder / "policy").exists(), "the policy is still there")
    # Where one was in force, it is again.
    older = Yard(place / "older", digest)
    before = older.folder / "policy"
    before.mkdir()
    (before / "current").write_text("sha256:" + "0" * 64 + "\n")
    older.run(exit=0)
    kit.carnet("rollback", older.plan, "--state", older.folder / "state", as_json=False)
    kit.want((before / "current").read_text() == "sha256:" + "0" * 64 + "\n", "the older one is not back")


def out_of_force(place, digest):
    """Each refusal with its class, code and subject, its event, and nothing let in."""
    cases = []

    def case(name, change, event_type, action, refusal):
        yard = Yard(place / name, digest)
        change(yard)
        done = yard.run(exit=3)
        kit.want(not (yard.folder / "inside").exists(), f"{name}: it was let in")
        found = of(yard.events(), event_type, action)
        kit.want(found and told(found[-1]) == refusal, f"{name}: {[told(it) for it in found]}\n{done.stderr}")
        cases.append((name, yard))
        return yard

    def abroad(yard):
        yard.input["target"]["jurisdiction"] = "US"
        yard.write("input.json", json.dumps(yard.input))

    yard = case(
        "abroad", abroad, "policy.refusal", "evaluate_policy",
        ("jurisdiction_denied", "jurisdiction.not_allowed", "prod"),
    )
    row = yard.verify(exit=None)
    kit.want(row["verdict"] == "pass" and "1 decision" in row["reason"], row)
    case(
        "stranger", lambda yard: yard.write("allowed_signers", f"jo@example.org {KEY}\n"),
        "authority.refusal", "check_authority",
        ("authority_missing_or_invalid", "authority.unknown", "ops@example.org"),
    )

    def changed(yard):
        module = yard.folder / "arrived" / "modules" / "retention.rego"
        module.write_text(module.read_text() + "\n")

    yard = Yard(place / "changed", digest)
    changed(yard)
    done = yard.run(exit=3)
    kit.want("policy.damaged" in done.stderr, done.stderr)

    def otherwise(yard):
        # The same document, made for tests that this policy does not pass.
        folder = yard.folder / "arrived"
        tests = self_tests(folder)
        tests[0]["decision"] = {"verdict": "deny"}
        text = json.dumps({"tests": tests})
        (folder / "self-tests.json").write_text(text)
        renamed(yard, folder, "self_tests", text)

    def renamed(yard, folder, member, text):
        import hashlib

        document = json.loads((folder / "snapshot.json").read_text())
        summed = hashlib.sha256(text.encode()).hexdigest()
        if member == "self_tests":
            document["self_tests"] = summed
        else:
            document["modules"][member] = summed
        whole = canonical(document)
        (folder / "snapshot.json").write_text(whole)
        new = hashlib.sha256(whole.encode()).hexdigest()
        yard.plan.write_text(yard.plan.read_text().replace(yard.digest, new))
        yard.digest = new

    def subject(yard):
        return f"sha256:{yard.digest}"

    def refused_policy(name, change, code, ground):
        yard = Yard(place / name, digest)
        change(yard)
        done = yard.run(exit=3)
        found = of(yard.events(), "policy.refusal", "test_policy")
        kit.want(found and told(found[-1]) == (ground, code, subject(yard)), f"{name}: {found}\n{done.stderr}")
        kit.want(not (yard.folder / "policy" / "current").exists(), f"{name}: it is in force")

    refused_policy("otherwise", otherwise, "policy.self_test", "evidence_precondition_failed")

    def module(text):
        def change(yard):
            folder = yard.folder / "arrived"
            (folder / "modules" / "retention.rego").write_text(text)
            renamed(yard, folder, "retention.rego", text)

        return change

    refused_policy(
        "broken", module("package carnet.admission\nallow if {\n"),
        "policy.compile", "dependency_unavailable_fail_closed",
    )
    refused_policy(
        "clocked", module("package carnet.admission\ndeny contains 1 if time.now_ns() < 0\n"),
        "policy.builtin", "policy_denied",
    )


def scenario(place):
    second_engine()
    digest = example(place)
    no_clear_yes(place)
    no_policy(place)
    in_force(place, digest)
    out_of_force(place, digest)


if __name__ == "__main__":
    kit.main(scenario)
