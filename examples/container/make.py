#!/usr/bin/env python3
"""Makes an image of a container from nothing but Debian's static busybox, as a layout of OCI.

    make.py FOLDER

FOLDER is the layout; its image is tagged `v1`. The same busybox gives the same bytes.
"""

import argparse
import hashlib
import io
import json
import pathlib
import tarfile

BUSYBOX = pathlib.Path("/bin/busybox")
# The first process of a container gets no signal that it does not ask for.
SERVE = b"""#!/bin/sh
trap 'exit 0' TERM
httpd -f "$@" &
wait
"""
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def rootfs():
    """The file system as a tar: busybox, and the names under which it is asked for."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:

        def add(name, kind, mode=0o755, data=b"", link=""):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.size, info.linkname = kind, mode, len(data), link
            tar.addfile(info, io.BytesIO(data))

        for name in ["bin", "etc", "tmp", "www"]:
            add(name, tarfile.DIRTYPE)
        add("bin/busybox", tarfile.REGTYPE, data=BUSYBOX.read_bytes())
        for name in ["cat", "false", "httpd", "sh", "sleep", "test", "true", "wget"]:
            add(f"bin/{name}", tarfile.SYMTYPE, link="busybox")
        add("bin/serve", tarfile.REGTYPE, data=SERVE)
        add("etc/passwd", tarfile.REGTYPE, 0o644, b"root:x:0:0::/:/bin/sh\n")
        add("www/index.html", tarfile.REGTYPE, 0o644, b"from the image\n")
    return out.getvalue()


def make(layout):
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(kind, data):
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    def document(value):
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

    layer = blob("application/vnd.oci.image.layer.v1.tar", rootfs())
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    config = blob("application/vnd.oci.image.config.v1+json", document(config))
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    manifest = blob(MANIFEST, document(manifest))
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "v1"}
    (layout / "index.json").write_bytes(document({"schemaVersion": 2, "manifests": [manifest]}))
    (layout / "oci-layout").write_bytes(document({"imageLayoutVersion": "1.0.0"}))
    return manifest["digest"]


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("folder", type=pathlib.Path)
    print(f"made {make(words.parse_args().folder)}")
