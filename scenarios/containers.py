"""Containers on real podman, by the capabilities `workload.*`:

- a compose file and manifests of Kubernetes are placed, started, found healthy, stopped, removed, and
  nothing of them is left; what podman runs is what the definition says;
- killed (kill -9) in the middle of placing, the same command goes on, and one container is there;
- placed and failing (not healthy), all of it is taken back;
- refused before anything is done: another key, a volume, a swapped blob, a name that is taken, a link
  out of the config.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request

import kit

POINTS = ["workload/files", "workload/loaded", "workload/made", "workload/started"]
EXAMPLE = kit.ROOT / "examples" / "container"


def make_image(layout):
    spec = importlib.util.spec_from_file_location("make_image", EXAMPLE / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make(layout)


class Side:
    """A runtime of its own, with the files of a bundle beside it."""

    def __init__(self, folder):
        self.folder = folder
        self.port = kit.free_port()
        folder.mkdir()
        shutil.copy(EXAMPLE / "containers.conf", folder)

    def bundle(self, name, definition="compose.yaml", *changes):
        """The files of a bundle, as an import lays them out."""
        place = self.folder / name
        (place / "workload").mkdir(parents=True)
        text = (EXAMPLE / definition).read_text().replace("18080", str(self.port))
        for old, new in changes:
            kit.want(old in text, f"{old} is not in {definition}")
            text = text.replace(old, new)
        (place / "workload" / definition).write_text(text)
        shutil.copytree(EXAMPLE / "config", place / "config")
        make_image(place / "image")
        return place

    def podman(self, *words):
        command = ["podman", "--root", self.folder / "pods/storage", "--runroot", self.folder / "pods/run", *words]
        env = {**os.environ, "CONTAINERS_CONF": str(self.folder / "containers.conf")}
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=env, timeout=120)
        kit.want(done.returncode == 0, f"podman {words}: {done.stderr}")
        return done.stdout.strip()

    def names(self):
        return self.podman("ps", "--all", "--format", "{{.Names}}").split()

    def inspect(self, name):
        return json.loads(self.podman("container", "inspect", name))[0]

    def words(self, capability, **inputs):
        runtime = {"storage": "pods", "settings": "containers.conf"}
        found = ["cap", "run", capability, "--set", f"runtime={json.dumps(runtime)}"]
        for key, value in inputs.items():
            found += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
        return [*found, "--execute"]

    def use(self, capability, exit=0, fault=None, **inputs):
        words = [*self.words(capability, **inputs), "--json"]
        env = {"CARNET_FAULTS": f"{fault}:1:fail"} if fault else {}
        return kit.carnet(*words, exit=exit, as_json=False, env=env, cwd=self.folder, timeout=300)

    def page(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/index.html", timeout=20) as answer:
            return answer.read().decode()

    def silent(self):
        with contextlib.closing(socket.socket()) as client:
            return client.connect_ex(("127.0.0.1", self.port)) != 0

    def empty(self):
        """Nothing is left but the files of the bundles."""
        kit.want(self.names() == [], f"containers are left: {self.names()}")
        images = [line for line in self.podman("images", "--format", "{{.Repository}}").split() if "pause" not in line]
        kit.want(images == [], f"images are left: {images}")

    def end(self):
        with contextlib.suppress(Exception):
            self.podman("pod", "rm", "--all", "--force", "--time", "0")
            self.podman("rm", "--all", "--force", "--time", "0")


def refused(said, code):
    kit.want(f'"{code}"' in said.stderr, f"not refused with {code}: {said.stdout}{said.stderr}")


def compose(side):
    """A compose file, from placing to removing."""
    side.bundle("in")
    side.use("workload.place", **{"from": "in", "into": "web", "name": "web"})
    kit.want(side.names() == ["web"] and side.silent(), "it must be there, and not run")
    side.use("workload.start", name="web")
    kit.want(side.page() == "hello from the config\n", "it shows something else")
    made = side.inspect("web")
    kit.want("GREETING=hello" in made["Config"]["Env"], made["Config"]["Env"])
    site = next(it for it in made["Mounts"] if it["Destination"] == "/site")
    kit.want(not site["RW"] and site["Source"] == str(side.folder / "web/config/site"), site)
    kit.want(made["Config"]["Healthcheck"]["Test"][:2] == ["CMD", "wget"], made["Config"]["Healthcheck"])
    kit.want(not made["HostConfig"]["Privileged"], "it is privileged")
    # A second one of this name is refused, and the first one goes on.
    refused(side.use("workload.place", exit=3, **{"from": "in", "into": "other", "name": "web"}), "workload.exists")
    refused(side.use("workload.remove", exit=3, name="web", folder="web"), "workload.running")
    kit.want(side.page() == "hello from the config\n" and not (side.folder / "other").exists(), "it was touched")
    side.use("workload.stop", name="web", within_s=1)
    kit.want(side.silent() and side.inspect("web")["State"]["Status"] == "exited", "it must be at rest")
    side.use("workload.start", name="web")
    side.use("workload.stop", name="web", within_s=1)
    side.use("workload.remove", name="web", folder="web")
    kit.want(not (side.folder / "web").exists(), "its folder is left")
    side.empty()
    refused(side.use("workload.start", exit=3, name="web"), "workload.not_found")
    print("compose: placed, started, healthy, stopped, started again, removed; nothing is left")


def killed(side):
    """kill -9 in the middle of placing; the same command goes on."""
    for point in POINTS:
        inputs = {"from": "in", "into": "web", "name": "web", "start": True}
        kit.kill_at(point, *side.words("workload.place", **inputs), cwd=side.folder)
        side.use("workload.place", **inputs)
        kit.want(side.names() == ["web"], f"{point}: {side.names()}")
        kit.want(side.page() == "hello from the config\n", f"{point}: it does not run")
        side.use("workload.stop", name="web", within_s=0)
        side.use("workload.remove", name="web", folder="web")
        side.empty()
    print("killed at 4 points while it was placed: the same command goes on, and one container is there")


def taken_back(side):
    """What fails in the middle, or does not become healthy, is taken back."""
    side.bundle("in")
    for point in POINTS:
        inputs = {"from": "in", "into": "deep/web", "name": "web", "start": True}
        side.use("workload.place", exit=6, fault=point, **inputs)
        kit.want(not (side.folder / "deep").exists() and side.silent(), f"{point}: something is left")
        side.empty()
    side.bundle("sick", "compose.yaml", ("/index.html\"]", "/no-such-page\"]"))
    said = side.use(
        "workload.place", exit=3, **{"from": "sick", "into": "web", "name": "web", "start": True, "healthy_within_s": 3}
    )
    refused(said, "workload.unhealthy")
    kit.want(not (side.folder / "web").exists() and side.silent(), "it is left")
    side.empty()
    print("failed at 4 points, and not healthy: taken back, with container, image and folder")


def refusals(side):
    """Refused before anything is done."""
    place = {"into": "web", "name": "web"}

    def want(name, code, exit=3):
        refused(side.use("workload.place", exit=exit, **{"from": name, **place}), code)
        kit.want(not (side.folder / "web").exists(), f"{name}: something was placed")

    side.bundle("privileged", "compose.yaml", ("    ports:", "    privileged: true\n    ports:"))
    want("privileged", "workload.unsupported")
    side.bundle("volume", "compose.yaml", ("./config/site:/site:ro", "data:/site"))
    want("volume", "workload.stateful")
    side.bundle("host", "compose.yaml", ("./config/site:/site:ro", "/etc:/site:ro"))
    want("host", "workload.unsupported")
    swapped = side.bundle("swapped")
    layer = max((swapped / "image/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(layer.read_bytes())
    data[len(data) // 2] ^= 1
    layer.write_bytes(data)
    want("swapped", "workload.image", exit=7)
    linked = side.bundle("linked")
    (linked / "config/site/passwd").symlink_to("/etc/passwd")
    want("linked", "artifact.refused")
    other = side.bundle("ports", "compose.yaml", (f"{side.port}:{side.port}", f"{side.port}:80"))
    want("ports", "workload.unsupported")
    kit.want(other.exists(), "the bundle was touched")
    side.empty()
    print("refused: another key, a volume, a mount of the machine, a swapped blob, a link, other ports")


def kube(side):
    """The same by manifests of Kubernetes."""
    side.bundle("pod", "kube.yaml")
    side.use("workload.place", **{"from": "pod", "into": "web", "name": "web"})
    kit.want(side.silent(), "it must not run")
    side.use("workload.start", name="web", pod=True)
    kit.want(side.page() == "hello from the config\n", "it shows something else")
    side.use("workload.stop", name="web", pod=True, within_s=0)
    kit.want(side.silent(), "it must be at rest")
    side.use("workload.remove", name="web", pod=True, folder="web")
    side.empty()
    kit.want(side.podman("volume", "ls", "--quiet") == "", "a volume is left")
    print("kubernetes: placed, started, healthy, stopped, removed; nothing is left (podman, no cluster)")


def scenario(folder):
    for play in [compose, killed, taken_back, refusals, kube]:
        side = Side(folder / play.__name__)
        try:
            if play is killed:
                side.bundle("in")
            began = time.monotonic()
            play(side)
            print(f"    {time.monotonic() - began:.1f} s")
        finally:
            side.end()


if __name__ == "__main__":
    kit.main(scenario)
