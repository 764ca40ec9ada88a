"""Virtual machines on real QEMU and swtpm, by the capabilities `vm.*`. A small Linux that starts by UEFI, with
a value in its TPM and a variable of its firmware, runs at the source, is turned off, and is placed and started
at the target:

- the target shows the same disk, the same value in its TPM, the same variable of its firmware;
- `qemu-img check` and `qemu-img compare` agree that the disk is whole and the same;
- killed (kill -9) while it is placed and while it starts, the same commands go on, and one machine runs;
- without the state of its TPM it is refused before anything is placed, and before a start;
- a machine that does not show what it must show is turned off again;
- a disk with a file behind it is refused, and stands alone once it is written into one file.
"""

import contextlib
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import kit

VALUE = "63617272696564206163726f73732e2e"


def make_machine(folder):
    spec = importlib.util.spec_from_file_location("make_machine", kit.ROOT / "examples/vm/make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cache = pathlib.Path(os.environ.get("CARNET_TEST_CACHE") or kit.ROOT / ".test-servers")
    module.make(folder, cache / "vm", bytes.fromhex(VALUE))


def use(capability, exit=0, fault=None, **inputs):
    words = ["cap", "run", capability, *settings(inputs), "--execute", "--json"]
    env = {"CARNET_FAULTS": f"{fault}:1:fail"} if fault else {}
    return kit.carnet(*words, exit=exit, as_json=False, env=env, timeout=600)


def settings(inputs):
    found = []
    for key, value in inputs.items():
        found += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return found


def refused(said, code):
    kit.want(f'"{code}"' in said.stderr, f"not refused with {code}: {said.stdout}{said.stderr}")


def emulators(folder):
    """The emulators and TPMs of a machine that run."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().decode(errors="replace")
            if str(folder) in words and re.match(r"[^\0]*(qemu-system|swtpm)", words):
                found.append(int(path.parent.name))
    return found


def boot(machine, **more):
    return {"machine": machine, "console": [f"vm: tpm holds {VALUE}", "vm: ready"], "within_s": 500, **more}


def carried(folder):
    """From the source to the target, with kills on the way."""
    source, target = folder / "source", folder / "target"
    make_machine(source)
    began = time.monotonic()
    use("vm.boot", **boot("source"))
    print(f"source: started by UEFI, {time.monotonic() - began:.1f} s")
    before = (source / "run/console.log").read_text(errors="replace")
    mark = re.search(r"firmware mark ([0-9a-f-]{36})", before)
    kit.want(mark, f"the source made no variable of its firmware:\n{before}")
    kit.want("from the disk: what the machine keeps on its disk" in before, before)
    refused(use("vm.boot", exit=3, **boot("source")), "vm.running")
    refused(use("vm.remove", exit=3, machine="source"), "vm.running")
    use("vm.stop", machine="source", within_s=0)
    kit.want(emulators(source) == [], "something of the source still runs")

    place = {"from": "source", "into": "target"}
    for point in ["vm/claimed", "vm/placed"]:
        kit.kill_at(point, "cap", "run", "vm.place", *settings(place), "--execute")
    use("vm.place", **place)
    same_disk(source, target)
    for path in sorted(path for path in (source / "machine").rglob("*") if path.is_file()):
        copy = target / path.relative_to(source)
        kit.want(copy.read_bytes() == path.read_bytes(), f"{copy} differs")
    refused(use("vm.place", exit=3, **place), "vm.exists")

    port = kit.free_port()
    start = boot("target", forward=[{"outside": port, "inside": 80}], answers_on=port)
    kit.kill_at("vm/started", "cap", "run", "vm.boot", *settings(start), "--execute")
    running = emulators(target)
    kit.want(len(running) == 2, f"an emulator and a TPM must go on: {running}")
    began = time.monotonic()
    use("vm.boot", **start)
    kit.want(emulators(target) == running, "the machine was started twice")
    print(f"target: killed while it started, found again, {time.monotonic() - began:.1f} s")
    after = (target / "run/console.log").read_text(errors="replace")
    kit.want(f"firmware mark {mark[1]}" in after, f"another variable of the firmware:\n{after}")
    kit.want("from the disk: what the machine keeps on its disk" in after, after)
    use("vm.stop", machine="target", within_s=0)
    kit.want(emulators(target) == [], "something of the target still runs")
    use("vm.remove", machine="target")
    kit.want(not target.exists(), "the target is left")
    print("carried: disk, TPM and firmware are the same; placed, started, stopped, removed")
    return source


def same_disk(source, target):
    one, other = source / "machine/disk.qcow2", target / "machine/disk.qcow2"
    for words in [["check", "-q", other], ["compare", "-q", one, other]]:
        done = subprocess.run(["qemu-img", *words], capture_output=True, text=True)
        kit.want(done.returncode == 0, f"qemu-img {words}: {done.returncode} {done.stdout}{done.stderr}")
    # It would tell: one byte changed is found.
    changed = target.parent / "changed.qcow2"
    shutil.copy(other, changed)
    subprocess.run(["qemu-io", "-c", "write -q -P 7 20M 512", changed], check=True, capture_output=True)
    done = subprocess.run(["qemu-img", "compare", "-q", one, changed], capture_output=True)
    kit.want(done.returncode == 1, "qemu-img compare does not tell a changed byte")
    changed.unlink()


def no_tpm_state(folder, source):
    """Without the state of its TPM it is refused, wherever it is."""
    bare = folder / "bare"
    shutil.copytree(source / "machine", bare / "machine")
    shutil.rmtree(bare / "machine/tpm")
    refused(use("vm.place", exit=3, **{"from": "bare", "into": "lost"}), "vm.tpm_missing")
    refused(use("vm.boot", exit=3, **boot("bare")), "vm.tpm_missing")
    (bare / "machine/tpm").mkdir()
    refused(use("vm.boot", exit=3, **boot("bare")), "vm.tpm_missing")
    kit.want(not (folder / "lost").exists() and not (bare / "run").exists(), "something was done")
    # Nor can it be talked away: a machine without a TPM has no state of one.
    liar = folder / "liar"
    shutil.copytree(source / "machine", liar / "machine")
    file = liar / "machine/machine.json"
    file.write_text(file.read_text().replace('"tpm": true', '"tpm": false'))
    refused(use("vm.place", exit=7, **{"from": "liar", "into": "lost"}), "vm.malformed")
    print("no TPM state: refused before placing, and before a start")


def no_proof(folder, source):
    """What fails in the middle is taken back; what does not come up as it must is turned off again."""
    for point in ["vm/claimed", "vm/placed"]:
        use("vm.place", exit=6, fault=point, **{"from": "source", "into": "deep/half"})
        kit.want(not (folder / "deep").exists(), f"{point}: something is left")
    shutil.copytree(source / "machine", folder / "mute/machine")
    use("vm.boot", exit=6, fault="vm/started", **boot("mute"))
    kit.want(emulators(folder / "mute") == [], "it still runs after a failed start")
    said = use("vm.boot", exit=3, machine="mute", console=["vm: never said"], within_s=2)
    refused(said, "vm.no_proof")
    kit.want(emulators(folder / "mute") == [], "it still runs")
    print("failed in the middle, or no proof: taken back, turned off again")


def disks(folder, source):
    """A disk with a file behind it."""
    chained = folder / "chained"
    shutil.copytree(source / "machine", chained / "machine")
    disk = chained / "machine/disk.qcow2"
    disk.rename(chained / "base.qcow2")
    words = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", "../base.qcow2", "-F", "qcow2", disk]
    subprocess.run(words, check=True)
    refused(use("vm.place", exit=3, **{"from": "chained", "into": "lost"}), "vm.unsupported")
    alone = folder / "alone.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", disk, alone], check=True)
    alone.replace(disk)
    use("vm.place", **{"from": "chained", "into": "flat"})
    same_disk(source, folder / "flat")
    # A raw disk that begins like another format is not taken for one.
    raw = folder / "raw"
    shutil.copytree(source / "machine", raw / "machine")
    (raw / "machine/disk.qcow2").rename(raw / "machine/disk.raw")
    file = raw / "machine/machine.json"
    file.write_text(file.read_text().replace('"qcow2"', '"raw"'))
    refused(use("vm.place", exit=7, **{"from": "raw", "into": "lost"}), "vm.malformed")
    print("disks: one with a file behind it and one of another format are refused")


def scenario(folder):
    folder = folder.resolve()
    try:
        source = carried(folder)
        no_tpm_state(folder, source)
        no_proof(folder, source)
        disks(folder, source)
    finally:
        for pid in emulators(folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


if __name__ == "__main__":
    kit.main(scenario)
