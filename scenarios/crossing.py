"""A container and a virtual machine cross a border in a bundle: the examples container and vm, on real podman
and on real QEMU and swtpm.

For each: the run from lab to prod, its events, and the way back, after which the source answers again; a
validation that fails, and a cutover that is given up: nothing runs at the target, and the source answers; the
same in two halves that share nothing but the bundle, the import killed (kill -9) in the middle. Refusals with
class, code, subject, remedy and event. The container also with its image from a docker archive and from a
registry by digest; the machine with what QEMU says of its disk, with a disk that has a file behind it, while it
runs, and without the state of its TPM. At the end no container, process or mount is left.

    scenarios/crossing.py [container] [vm]
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

import bundles
import kit
import machines
from crossed import ALWAYS, MADE, Example, aborted_cutover, end_to_end, failed_validation, fails, refusal
from crossed import refused_exports, refused_imports, two_halves

WORKLOAD = [*ALWAYS, "workload.admit"]


def run(*words, exit=0, **options):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=300, **options)
    kit.want(done.returncode == exit, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def left_over(folder):
    """Processes and mounts that have to do with a folder."""
    mounts = [line for line in pathlib.Path("/proc/mounts").read_text().splitlines() if str(folder) in line]
    words = {path.parent.name: read(path) for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")}
    return mounts + [f"{pid}: {said}" for pid, said in words.items() if str(folder) in said]


def read(path):
    with contextlib.suppress(OSError):
        return path.read_bytes().decode(errors="replace").replace("\0", " ")
    return ""


def gone(folder):
    """Removes a folder in which something that ends may still be busy."""
    until = time.monotonic() + 20
    while folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


class Workload(Example):
    """An example whose workload runs at lab on one port, and at prod on another. `ports` are those that stand
    in its files."""

    name, ports, files = None, (), []

    def __init__(self, home):
        super().__init__(home, self.name)

    def carnet(self, *words, **options):
        return super().carnet(*words, **{"timeout": 1200, **options})

    def with_free_ports(self):
        """Each port that stands in a file of the example is replaced by one that is free."""
        self.lab, self.prod = kit.free_port(), kit.free_port()
        for file in (self.folder / file for file in self.files):
            text = file.read_text()
            for old, new in zip(self.ports, (self.lab, self.prod)):
                text = text.replace(str(old), str(new))
            file.write_text(text)
        self.text = (self.folder / "migration.yaml").read_text()

    def bare(self):
        if not hasattr(self, "lab"):
            self.with_free_ports()
            self.make()
        self.end()
        for made in MADE:
            gone(self.folder / made)
        super().bare()
        (self.folder / "prod" / "claims.json").write_text(json.dumps(kit.carnet("claims")))

    def lab_sh(self, word):
        return run("/bin/sh", "lab.sh", word, cwd=self.folder)

    def page(self, port, within_s=0):
        """What the server on a port shows; None if nothing answers in this time."""
        until = time.monotonic() + within_s
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/index.html", timeout=5) as answer:
                    return answer.read().decode()
            except OSError:
                if time.monotonic() >= until:
                    return None
            time.sleep(0.2)

    def at_rest(self):
        kit.want(not self.runs(), f"it runs at the target: {self.runs()}")
        kit.want(self.page(self.prod) is None, "the target answers")

    def at_source(self):
        kit.want(self.page(self.lab, self.within_s) == self.shows, "the source does not answer")
        self.at_rest()

    def at_target(self):
        kit.want(self.page(self.prod, self.within_s) == self.shows, "the target does not answer")
        kit.want(self.runs(), "nothing runs at the target")
        kit.want(self.page(self.lab) is None, "the source still answers")

    def leaves_nothing(self):
        """Once it is put down at the source, where it came back to, nothing has to do with it."""
        self.lab_sh(self.down)
        until = time.monotonic() + 20
        while (found := left_over(self.folder)) and time.monotonic() < until:
            # podman's own clean-up of a container may end after its command, and holds the store mounted.
            subprocess.run(["umount", self.folder / "lab/pods/storage/overlay"], capture_output=True)
            time.sleep(0.2)
        kit.want(not found, f"{self.name}: left over: {found}")


class Container(Workload):
    name, ports, files = "container", (18079, 18080), ["migration.yaml", "compose.yaml", "lab.sh"]
    kept = {".carnet", "pods"}
    shows, within_s, down = "hello from the config\n", 10, "down"

    def make(self):
        self.image = self.home / "image"
        run(sys.executable, self.folder / "make.py", self.image)

    def reset(self):
        super().reset()
        (self.folder / "lab").mkdir()
        shutil.copytree(self.image, self.folder / "lab" / "image")
        self.lab_sh("up")
        self.at_source()

    def podman(self, side, *words):
        place = self.folder / side / "pods"
        if not place.is_dir():
            return ""
        env = {**os.environ, "CONTAINERS_CONF": str(self.folder / "containers.conf")}
        return run("podman", "--root", place / "storage", "--runroot", place / "run", *words, env=env).strip()

    def runs(self):
        return self.podman("prod", "ps", "--format", "{{.Names}} {{.Status}}")

    def end(self):
        for side in ("lab", "prod"):
            self.podman(side, "rm", "--all", "--force", "--time", "0")
        # What ends a container clears up after it, a moment later.
        until = time.monotonic() + 20
        while left_over(self.folder) and time.monotonic() < until:
            time.sleep(0.1)
            for side in ("lab", "prod"):
                storage = self.folder / side / "pods" / "storage" / "overlay"
                subprocess.run(["umount", storage], capture_output=True)

    def at_source(self):
        super().at_source()
        there = self.podman("prod", "ps", "--all", "--quiet") + self.podman("prod", "images", "--quiet")
        kit.want(not there, f"containers or images are left at the target: {there}")


def container(home):
    example = Container(home)
    try:
        manifest, _ = end_to_end(example, WORKLOAD)
        failed_validation(example)
        aborted_cutover(example)
        two_halves(example, kill=("workload/loaded", 1))
        refused_imports(example)
        refused_exports(example)
        images(example, manifest)
        example.leaves_nothing()
    finally:
        example.end()
    print("container: end to end, back, two halves, killed, refused, images of an archive and a registry")


def images(example, manifest):
    """The same image, however it comes: from a registry with the same files, from an archive with the same
    layers (docker save writes another config)."""
    wanted = of_image(manifest)
    layer = max(wanted.values(), key=lambda content: content["size"])["integrity_hash"]
    policy = example.home / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    archive = example.home / "web.tar"
    run("skopeo", "--policy", policy, "copy", f"oci:{example.image}:v1", f"docker-archive:{archive}:web:v1")
    crossed = crosses(example, f"docker-archive:{archive}")
    kit.want(layer in {content["integrity_hash"] for content in crossed.values()}, f"another layer: {crossed}")

    with contextlib.chdir(example.home), bundles.registry() as url:
        name = url.removeprefix("http://")
        words = ["copy", "--dest-tls-verify=false", "--preserve-digests", f"oci:{example.image}:v1"]
        run("skopeo", "--policy", policy, *words, f"docker://{name}:v1")
        digest = json.loads((example.image / "index.json").read_text())["manifests"][0]["digest"]
        crossed = crosses(example, f"docker://{name}@{digest}")
        kit.want(crossed == wanted, f"other files: {crossed} are not {wanted}")
        # A name that another image may take tomorrow is refused.
        example.reset()
        example.plan(('"oci:lab/image"', f'"docker://{name}:v1"'))
        fails(example, "run", "migration.yaml")
        refusal(example, "workload.unpinned", "export/bundle")


def crosses(example, image):
    """What a bundle holds of an image that was named so, after it crossed and ran."""
    example.reset()
    example.plan(('"oci:lab/image"', json.dumps(image)))
    example.carnet("run", "migration.yaml")
    example.at_target()
    return of_image(json.loads((example.folder / "prod/place/manifest.json").read_text()))


def of_image(manifest):
    return {content["path"]: content for content in manifest["contents"] if content["path"].startswith("image/")}


class Machine(Workload):
    name, ports, files = "vm", (18089, 18090), ["migration.yaml", "lab.sh"]
    # The machine runs on at lab, and writes; the rest its emulator makes.
    kept = {".carnet", "machine", "console.log", "vm.pid", "tpm.sock"}
    shows, within_s, down = "vm: answers\n", 300, "stop"
    opens = ("--identity", "prod/identity")

    def make(self):
        self.machine = self.home / "made"
        cache = pathlib.Path(os.environ.get("CARNET_TEST_CACHE") or kit.ROOT / ".test-servers") / "vm"
        run(sys.executable, self.folder / "make.py", self.machine, "--cache", cache)
        self.identity = self.home / "identity"
        run("age-keygen", "-o", self.identity)
        recipient = run("age-keygen", "-y", self.identity).strip()
        self.text = self.text.replace("RECIPIENT", recipient)

    def bare(self):
        super().bare()
        self.plan()
        shutil.copy(self.identity, self.folder / "prod")

    def reset(self):
        super().reset()
        shutil.copytree(self.machine, self.folder / "lab")
        self.lab_sh("start")

    def runs(self):
        return machines.emulators(self.folder / "prod")

    def end(self):
        if (self.folder / "lab").is_dir():
            self.lab_sh("stop")
        for pid in machines.emulators(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)


def vm(home):
    example = Machine(home)
    try:
        no_tpm_state(example)
        chained(example)
        example.reset()
        end_to_end_vm(example)
        failed_validation(example)
        two_halves(example, kill=("vm/placed", 1))
        kit.want(example.page(example.lab) is None, "it runs at the source, after it was taken out")
        aborted_cutover(example)
        if os.environ.get("CARNET_TEST_LONG"):
            refused_imports(example)
            refused_exports(example)
        example.leaves_nothing()
    finally:
        example.end()
    print("vm: end to end, back, two halves, killed, refused without its TPM")


def end_to_end_vm(example):
    """As every crossing, and what the machine and QEMU say of it."""
    seen = {}

    def arrived():
        Machine.at_target(example)
        seen["console"] = (example.folder / "prod/vm/run/console.log").read_text(errors="replace")
        # QEMU gives no disk away that is in use, unless it is told to.
        disks = [example.folder / "lab/machine/disk.qcow2", example.folder / "prod/vm/machine/disk.qcow2"]
        run("qemu-img", "check", "--force-share", disks[1])
        run("qemu-img", "compare", "--force-share", *disks)

    example.at_source()
    example.at_target = arrived
    end_to_end(example, WORKLOAD)
    del example.at_target
    for said in ("vm: tpm holds 6b6570742062792074686520746d7021", "vm: up, from the disk: what the machine keeps"):
        kit.want(said in seen["console"], f"the console does not show {said!r}:\n{seen['console']}")
    mark = re.compile("vm: firmware mark ([0-9a-f-]{36})")
    kept = mark.search((example.folder / "lab/console.log").read_text(errors="replace"))
    kit.want(mark.search(seen["console"])[1] == kept[1], "the firmware has another mark than at the source")


def no_tpm_state(example):
    """Refused: while it runs, and without the state of its TPM. Each time it is started again."""
    for code, *pair in [
        ("vm.running", "args: [lab.sh, stop]", "args: [-c, 'true']"),
        ("vm.tpm_missing", "tpm_state: lab/machine/tpm", "tpm_state: lab/no-such-folder"),
    ]:
        example.reset()
        example.plan(pair)
        fails(example, "run", "migration.yaml", exit=3)
        refusal(example, code, "export/bundle")
        kit.want("migration.export" not in example.types(), f"{code}: a bundle was made")
        kit.want(machines.emulators(example.folder / "lab"), f"{code}: the source was not started again")
    # Nor can it be talked away.
    example.plan(("tpm: true", "tpm: false"))
    kit.want("plan.conflict" in fails(example, "check", "migration.yaml", exit=2), "a TPM that there is not, with a state")


def chained(example):
    """A disk with a file behind it leaves as one."""
    example.reset()
    example.lab_sh("stop")
    disk, base = (example.folder / "lab/machine" / name for name in ("disk.qcow2", "base.qcow2"))
    disk.rename(base)
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", disk)
    example.carnet("bundle", "export", "migration.yaml", "--out", "chained.tar")
    words = ["chained.tar", "--out", "prod/opened", "--only", "machine", *example.opens]
    example.carnet("bundle", "unpack", *words)
    alone = example.folder / "prod/opened/machine/disk.qcow2"
    kit.want("backing" not in run("qemu-img", "info", alone), "the disk does not stand alone")
    run("qemu-img", "compare", base, alone)


PARTS = {"container": container, "vm": vm}


def play(name):
    # Podman takes no folder of more than 50 characters for what it keeps while something runs.
    with tempfile.TemporaryDirectory(prefix="carnet-") as home:
        began = time.monotonic()
        PARTS[name](pathlib.Path(home).resolve())
        print(f"    {name}: {time.monotonic() - began:.1f} s", flush=True)


def main():
    # Beside each other: one waits for podman, and the other for a machine that comes up.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for played in [pool.submit(play, name) for name in sys.argv[1:] or PARTS]:
            played.result()
    print("ok")


if __name__ == "__main__":
    main()
