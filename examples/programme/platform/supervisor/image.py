"""The platform as an image: an OCI layout with one layer, made of the files of this folder and of
nothing else. The same files give the same digest. Roles run from the unpacked layer, so that the
digest in run.json names what runs."""

import gzip
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

from eventplatform.config import canonical, sha256

HERE = Path(__file__).resolve().parent.parent
ROOT = "opt/platform"


def files():
    """What goes in: the code, and no bytecode, tests or settings."""
    return sorted(p for name in ("eventplatform", "supervisor") for p in (HERE / name).glob("*.py"))


def layer():
    """An uncompressed tar with nothing in it that differs between two builds."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in files():
            data = path.read_bytes()
            entry = tarfile.TarInfo(f"{ROOT}/{path.relative_to(HERE)}")
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def unpacked(folder):
    """The digest of the image in this folder. What is unpacked beside it must be its layer, to the
    byte, or what runs would not be what the digest names."""
    out, rootfs = Path(folder) / "image", Path(folder) / "rootfs"

    def blob(digest):
        data = (out / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()
        if f"sha256:{sha256(data)}" != digest:
            raise SystemExit(f"IMAGE_CHANGED: {digest} is not what its blob holds")
        return data

    digest = json.loads((out / "index.json").read_text(encoding="utf-8"))["manifests"][0]["digest"]
    packed = [blob(each["digest"]) for each in json.loads(blob(digest))["layers"]]
    with tarfile.open(fileobj=io.BytesIO(packed[0])) as tar:
        wanted = {entry.name: tar.extractfile(entry).read() for entry in tar}
    # Folders are mount points of containers; a file that is not of the layer is none of those.
    there = {str(path.relative_to(rootfs)): path.read_bytes() for path in rootfs.rglob("*") if path.is_file()}
    different = sorted(name for name in {*wanted, *there} if wanted.get(name) != there.get(name))
    if different:
        raise SystemExit(f"IMAGE_CHANGED: what is unpacked is not the layer of {digest}: {', '.join(different)}")
    return digest


def revision():
    found = subprocess.run(["git", "-C", str(HERE), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit("no revision: this folder is in no Git repository; say --git-sha")
    return found.stdout.strip()


def build(folder, git_sha=None):
    """Writes the layout and the unpacked layer; answers {tag, digest, git_sha}."""
    git_sha = git_sha or revision()
    out, tag = Path(folder) / "image", f"git-{git_sha}"
    shutil.rmtree(out, ignore_errors=True)
    (out / "blobs" / "sha256").mkdir(parents=True)

    def blob(data, media_type):
        (out / "blobs" / "sha256" / sha256(data)).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{sha256(data)}", "size": len(data)}

    tar = layer()
    packed = gzip.compress(tar, mtime=0)
    config = blob(canonical({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": ["python3", "-m", "eventplatform"], "Env": [f"PYTHONPATH=/{ROOT}"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(tar)}"]}}), "application/vnd.oci.image.config.v1+json")
    manifest = blob(canonical({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
        "layers": [blob(packed, "application/vnd.oci.image.layer.v1.tar+gzip")]}), "application/vnd.oci.image.manifest.v1+json")
    (out / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")
    (out / "index.json").write_text(json.dumps({
        "schemaVersion": 2, "manifests": [{**manifest, "annotations": {"org.opencontainers.image.ref.name": tag}}]}), encoding="utf-8")
    rootfs = Path(folder) / "rootfs"
    shutil.rmtree(rootfs, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(tar)) as unpacked:
        for entry in unpacked:
            path = rootfs / entry.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(unpacked.extractfile(entry).read())
    return {"tag": tag, "digest": manifest["digest"], "git_sha": git_sha}
