"""Bundles leave the program, and tools of others take them: skopeo, age, a registry of containers. A second
implementation computes the content root; transfers that are killed go on by blob; nothing of the place where a
bundle is made shows in its bytes.

    scenarios/bundles.py      exit 0 only if everything is as it should be

Needs skopeo, age and docker-registry (./test installs them), and the program `sample_bundle`, which
`cargo test` builds beside the others (crates/bundle/examples).
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tarfile
import time
import urllib.request

import kit

SAMPLE = pathlib.Path(kit.setting("CARNET_BIN")).parent / "examples" / "sample_bundle"
NOT_CONTENT = {"evidence_chain_segment", "verifier_inputs", "capability_claim"}
CLEAN = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def run(*words, exit=0, **options):
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=300, **options)
    kit.want(done.returncode == exit, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def sha(data):
    return hashlib.sha256(data).hexdigest()


def make(data, out, *recipients, **options):
    return json.loads(run(SAMPLE, data, out, "log.vkey", *recipients, **options))


def verify(path, *words, exit=0):
    return kit.carnet("bundle", "verify", path, *words, exit=exit)


def rows(report):
    return {row["id"]: row for row in report["checks"]}


# --- a second implementation ------------------------------------------------------------------------------


def read_layout(root):
    """The digest of the image manifest, its layers by title, and the manifest of the bundle."""
    blob = lambda digest: (root / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()
    (entry,) = json.loads((root / "index.json").read_bytes())["manifests"]
    image = json.loads(blob(entry["digest"]))
    kit.want(image["artifactType"] == "application/vnd.carnet.bundle.v1", image["artifactType"])
    layers = {layer["annotations"]["org.opencontainers.image.title"]: layer for layer in image["layers"]}
    for layer in image["layers"]:
        data = blob(layer["digest"])
        kit.want(sha(data) == layer["digest"].removeprefix("sha256:"), f"{layer} is another blob")
        kit.want(len(data) == layer["size"], f"{layer} has {len(data)} bytes")
    return entry["digest"], layers, json.loads(blob(layers["manifest.json"]["digest"]))


def root_of(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\x01" + root_of(leaves[:half]) + root_of(leaves[half:])).digest()


def content_root(manifest):
    """As docs/formats.md says, with nothing of the program."""
    counted = sorted(
        (c for c in manifest["contents"] if c["type"] not in NOT_CONTENT), key=lambda c: c["path"].encode()
    )
    leaf = lambda c: {
        "path": c["path"],
        "sha256": c["integrity_hash"].removeprefix("sha256:"),
        "size": c["size"],
        "type": c["type"],
    }
    text = lambda c: json.dumps(leaf(c), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return root_of([text(c).encode() for c in counted]).hex()


def second_implementation(data):
    made = make(data, "first")
    digest, layers, manifest = read_layout(pathlib.Path("first"))
    kit.want(digest == made["bundle"], "another id")
    kit.want(content_root(manifest) == made["content_root"] == manifest["content_root"], "another content root")
    listed = [content["path"] for content in manifest["contents"]]
    kit.want(["manifest.json", *listed] == list(layers), "the layers are not the contents")
    for path in sorted(data.rglob("*")):
        if path.is_file():
            content = next(c for c in manifest["contents"] if c["path"] == f"data/{path.relative_to(data)}")
            kit.want(content["integrity_hash"] == f"sha256:{sha(path.read_bytes())}", f"{path} differs")
    last = json.loads(run("tail", "-n1", blob_of("first", layers["evidence/events.jsonl"])))
    kit.want(last["context"]["content_root"] == made["content_root"], "the last event names another root")
    report = verify("first", "--key", "log.vkey")
    kit.want(report["verdict"] == "verified", report)
    kit.want(verify("first", exit=8)["verdict"] == "incomplete", "no key, and yet verified")
    shown = kit.carnet("bundle", "inspect", "first")
    kit.want(shown["manifest"] == manifest and shown["bundle"] == digest, "inspect shows something else")
    return made


def blob_of(root, layer):
    return pathlib.Path(root) / "blobs" / "sha256" / layer["digest"].removeprefix("sha256:")


# --- nothing of the place shows ---------------------------------------------------------------------------


def all_files(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in pathlib.Path(root).rglob("*") if p.is_file()}


def same_bytes_elsewhere(data, made):
    wanted = all_files("first")
    kit.carnet("bundle", "pack", "first", "--out", "first.tar")
    tar = pathlib.Path("first.tar").read_bytes()
    places = [
        (0o000, {"TZ": "Pacific/Kiritimati", "LC_ALL": "C"}),
        (0o077, {"TZ": "America/St_Johns", "LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE"}),
    ]
    for number, (mask, env) in enumerate(places):
        place = pathlib.Path(f"pläce {number}/deep").absolute()
        place.mkdir(parents=True)
        shutil.copytree(data, place / "copy")
        options = {"cwd": place, "env": {**CLEAN, **env}, "umask": mask}
        again = make(place / "copy", "again", **options)
        kit.want(again["bundle"] == made["bundle"], f"another id with {env}")
        kit.want(all_files(place / "again") == wanted, f"other bytes with {env}")
        run(kit.setting("CARNET_BIN"), "bundle", "pack", "again", "--out", "again.tar", **options)
        kit.want((place / "again.tar").read_bytes() == tar, f"another tar with {env}")
    with tarfile.open("first.tar") as archive:
        for member in archive:
            kit.want((member.mtime, member.uid, member.mode) == (0, 0, 0o644), f"{member.name}: {member.mode:o}")
            kit.want(not member.pax_headers, f"{member.name} has PAX headers")
        names = [member.name for member in archive.getmembers()]
    kit.want(names == sorted(names), "the tar is not sorted")


# --- skopeo -----------------------------------------------------------------------------------------------


def skopeo_takes_it(made):
    policy = pathlib.Path("policy.json")
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    skopeo = lambda *words: run("skopeo", "--policy", policy, *words)
    raw = skopeo("inspect", "--raw", "oci:first")
    kit.want(f"sha256:{sha(raw.encode())}" == made["bundle"], "skopeo sees another manifest")
    skopeo("copy", "oci:first", "oci-archive:by-skopeo.tar")
    skopeo("copy", "oci-archive:by-skopeo.tar", "oci:by-skopeo")
    skopeo("copy", "oci-archive:first.tar", "oci:from-our-tar")
    for place in ["by-skopeo.tar", "by-skopeo", "from-our-tar", "first.tar"]:
        report = verify(place, "--key", "log.vkey")
        kit.want(report["verdict"] == "verified", f"{place}: {report}")
        kit.want(f"sha256:{report['manifest_digest']}" == made["bundle"], f"{place} has another id")
    # What skopeo wrote is packed to the same bytes as what we wrote.
    kit.carnet("bundle", "pack", "by-skopeo.tar", "--out", "packed-again.tar")
    kit.want(
        pathlib.Path("packed-again.tar").read_bytes() == pathlib.Path("first.tar").read_bytes(),
        "the tar of the copy differs",
    )


# --- age --------------------------------------------------------------------------------------------------


def age_opens_it(data, plain):
    run("age-keygen", "-o", "identity")
    run("age-keygen", "-o", "stranger")
    recipient = run("age-keygen", "-y", "identity").strip()
    made = make(data, "locked", recipient)
    kit.want(made["content_root"] == plain["content_root"], "encryption changed the content root")
    kit.want(made["bundle"] != plain["bundle"], "nothing was encrypted")
    _, layers, manifest = read_layout(pathlib.Path("locked"))
    locked = [c for c in manifest["contents"] if "encryption" in c]
    kit.want([c["path"] for c in locked] == ["data/secret/large", "data/secret/names"], "others are encrypted")
    for content in locked:
        blob = blob_of("locked", layers[content["path"]])
        opened = subprocess.run(["age", "-d", "-i", "identity", blob], capture_output=True, check=True).stdout
        wanted = (data / content["path"].removeprefix("data/")).read_bytes()
        kit.want(opened == wanted, f"age reads something else from {content['path']}")
        kit.want(wanted not in blob.read_bytes(), "the plain bytes are in the blob")
        kit.want(content["encryption"]["recipients"] == [recipient], "for somebody else")
    key = ["--key", "log.vkey"]
    report = verify("locked", *key, "--identity", "identity")
    kit.want(rows(report)["contents.decrypted"]["verdict"] == "pass", report)
    for more in [[], ["--identity", "stranger"]]:
        report = verify("locked", *key, *more, exit=8)
        row = rows(report)["contents.decrypted"]
        kit.want((row["verdict"], row["code"]) == ("not_checked", "bundle.encrypted"), row)
        kit.want(rows(report)["evidence"]["verdict"] == "pass", "the proofs cannot be read without it")
    kit.carnet("bundle", "unpack", "locked", "--out", "opened", "--only", "data", "--identity", "identity")
    kit.want(all_files("opened/data") == all_files(data), "what is unpacked differs")
    kit.carnet("bundle", "unpack", "locked", "--out", "never", exit=8)
    kit.want(not pathlib.Path("never").exists(), "a refused unpack left something")
    # With the ciphertexts held fixed, the bytes are the same: a second try keeps them.
    again = make(data, "locked", recipient)
    kit.want(again["bundle"] == made["bundle"] and again["tally"]["bytes_written"] == 0, again)


# --- a registry, and transfers that are killed ------------------------------------------------------------


@contextlib.contextmanager
def registry():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(pathlib.Path("registry").absolute())}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    pathlib.Path("registry.yml").write_text(json.dumps(settings))
    with open("registry.log", "w") as log:
        server = subprocess.Popen(["docker-registry", "serve", "registry.yml"], stdout=log, stderr=log)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5).close()
                break
            time.sleep(0.1)
        else:
            kit.fail(f"the registry does not answer:\n{pathlib.Path('registry.log').read_text()}")
        yield f"http://127.0.0.1:{port}/team/kb"
    finally:
        server.terminate()
        server.wait()


def killed_in_the_middle(words, folder, blobs):
    """Runs the program and kills it once so many blobs are there, and not all."""
    process = subprocess.Popen(
        [kit.setting("CARNET_BIN"), *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    whole = lambda: sum(1 for p in folder.glob("blobs/sha256/*") if not p.name.startswith("."))
    while process.poll() is None and whole() < blobs:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kit.want(process.returncode == -signal.SIGKILL, "it was over before it could be killed")


def through_a_registry(data, made):
    with registry() as url:
        sent = kit.carnet("bundle", "push", "first", url)
        kit.want(sent["to"] == f"{url}@{made['bundle']}", sent)
        kit.want(sent["blobs_skipped"] == 0, sent)
        again = kit.carnet("bundle", "push", "first.tar", url)
        kit.want(again["blobs_written"] == 1, f"more than the manifest was sent again: {again}")
        pulled = kit.carnet("bundle", "pull", sent["to"], "--out", "pulled")
        kit.want(all_files("pulled") == all_files("first"), "what was pulled differs")
        total = pulled["bytes_written"]

        out = pathlib.Path("killed")
        killed_in_the_middle(["bundle", "pull", sent["to"], "--out", out], out, 20)
        kit.want(not (out / "index.json").exists(), "half a bundle looks like a whole one")
        verify(out, "--key", "log.vkey", exit=7)
        rest = kit.carnet("bundle", "pull", sent["to"], "--out", out)
        print(f"pull, killed and repeated: {rest['bytes_written']} bytes sent, {rest['bytes_skipped']} skipped")
        kit.want(rest["blobs_skipped"] >= 19 and rest["blobs_written"] > 0, rest)
        kit.want(rest["bytes_written"] + rest["bytes_skipped"] == total, rest)
        kit.want(all_files(out) == all_files("first"), "what was pulled in two parts differs")

        # A bundle with one more file: only what is new travels.
        (data / "more").write_bytes(b"one more")
        more = make(data, "more")
        sent = kit.carnet("bundle", "push", "more", url)
        kit.want(more["bundle"] != made["bundle"] and sent["blobs_written"] < 12, sent)
        (data / "more").unlink()

        # Somebody swaps a blob in the registry.
        victim = max(all_files("first").items(), key=lambda it: len(it[1]))[0].rpartition("/")[2]
        stored = next(pathlib.Path("registry").glob(f"**/blobs/sha256/{victim[:2]}/{victim}/data"))
        whole = stored.read_bytes()
        stored.write_bytes(b"x" * len(whole))
        swapped = kit.carnet("bundle", "pull", f"{url}@{made['bundle']}", "--out", "swapped", exit=3, as_json=False)
        kit.want("code: bundle.damaged " in swapped.stderr, swapped.stderr)
        kit.want(not pathlib.Path("swapped/index.json").exists(), "a swapped blob was taken")
        kit.carnet("bundle", "pull", f"{url}@sha256:{'0' * 64}", "--out", "absent", exit=6)
    kit.carnet("bundle", "push", "first", "http://registry.example/kb", exit=2)


def scenario(folder):
    for tool in ["skopeo", "age", "docker-registry", str(SAMPLE)]:
        kit.want(shutil.which(tool), f"{tool} is missing: run ./test")
    data = pathlib.Path("data").absolute()
    (data / "secret").mkdir(parents=True)
    (data / "naïve 日本").write_text("é😀\n", encoding="utf-8")
    (data / "empty").write_bytes(b"")
    for n in range(120):
        (data / f"part-{n:03d}").write_bytes(hashlib.shake_128(f"{n}".encode()).digest(200_000 + n))
    (data / "secret" / "names").write_text("who it is about\n" * 100)
    (data / "secret" / "large").write_bytes(hashlib.shake_128(b"large").digest(3_000_000))
    made = second_implementation(data)
    same_bytes_elsewhere(data, made)
    skopeo_takes_it(made)
    age_opens_it(data, made)
    through_a_registry(data, made)


if __name__ == "__main__":
    kit.main(scenario)
