#!/usr/bin/env python3
"""Makes a small virtual machine from nothing but Debian packages: a disk that starts by UEFI, the
variables of its firmware, and a TPM in which a value was stored.

    make.py FOLDER [--cache FOLDER] [--tpm-value HEX]

FOLDER/machine/ then holds what a bundle takes: machine.json, disk.qcow2, firmware-vars.fd and tpm/.
Needs qemu-img, swtpm, swtpm_setup, mkfs.vfat, mcopy, sfdisk, objcopy, cpio, busybox-static, ovmf and
systemd-boot-efi. The kernel is downloaded as a package once, into the cache, and not installed.

The machine needs no network and changes nothing on its disk. When it comes up it says on its console:

    vm: up, from the disk: DATA       what stands in its second partition
    vm: tpm holds HEX                 the value in its TPM (index 0x01500001)
    vm: firmware mark UUID            a variable of its firmware, made when it first came up
    vm: ready
"""

import argparse
import gzip
import json
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import time

STUB = pathlib.Path("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")
VARIABLES = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
BUSYBOX = pathlib.Path("/bin/busybox")
MODULES = """virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk failover
net_failover virtio_net efivarfs button evdev""".split()
MIB = 1 << 20
ESP_MIB = 32
DISK_MIB = 36
DATA = b"what the machine keeps on its disk"
INDEX = 0x01500001

INIT = r"""#!/bin/busybox sh
/bin/busybox mkdir -p /bin /proc /sys /dev /tmp
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
# Twice: the order in which they need one another differs between kernels.
for module in MODULES MODULES; do insmod /modules/$module.ko 2>/dev/null; done
mount -t efivarfs efivarfs /sys/firmware/efi/efivars 2>/dev/null
data=$(dd if=/dev/vda bs=MIB skip=DATA_AT count=1 2>/dev/null | head -n 1)
echo "vm: up, from the disk: $data"
# TPM2_NV_Read of 16 bytes; the value begins behind 16 bytes of header.
if [ -e /dev/tpm0 ]; then
  exec 3<>/dev/tpm0
  printf 'NV_READ' >&3
  value=$(dd bs=4096 count=1 <&3 2>/dev/null | od -An -v -tx1 | tr -d ' \n' | cut -c33-64)
  exec 3>&-
  echo "vm: tpm holds $value"
else
  echo "vm: no tpm"
fi
variable=/sys/firmware/efi/efivars/CarnetMark-0d9c6f1e-5a43-4f0c-9d77-2b6a1c3e8f54
# A variable is written at once: its attributes and its value.
if [ ! -e $variable ]; then
  printf "\007\000\000\000$(cat /proc/sys/kernel/random/uuid)" >$variable
fi
echo "vm: firmware mark $(tail -c +5 $variable)"
ip addr add 10.0.2.15/24 dev eth0 2>/dev/null && ip link set eth0 up
mkdir -p /www; echo "vm: answers" >/www/index.html; httpd -p 80 -h /www
echo "vm: ready"
# Its power button turns it off.
for input in /dev/input/event*; do
  { dd if=$input of=/dev/null bs=24 count=1 2>/dev/null && poweroff -f; } &
done
while :; do sleep 3600; done
"""


def run(*words, **options):
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL, **options)


def kernel(cache):
    """The kernel of Debian for the cloud, unpacked: the path of its package's root."""
    root = cache / "kernel"
    if not list(root.glob("boot/vmlinuz-*")):
        shutil.rmtree(root, ignore_errors=True)
        said = subprocess.run(
            ["apt-cache", "depends", "linux-image-cloud-amd64"], check=True, capture_output=True, text=True
        ).stdout
        package = next(line.split()[-1] for line in said.splitlines() if "Depends: linux-image-" in line)
        run("apt-get", "download", package, cwd=cache, stderr=subprocess.DEVNULL)
        run("dpkg-deb", "-x", next(cache.glob(f"{package}_*.deb")), root)
    return root


def initramfs(root, work):
    tree = work / "initramfs"
    (tree / "bin").mkdir(parents=True)
    (tree / "modules").mkdir()
    shutil.copy(BUSYBOX, tree / "bin/busybox")
    for name in MODULES:
        found = list(root.glob(f"lib/modules/*/kernel/**/{name}.ko"))
        if found:
            shutil.copy(found[0], tree / "modules")
    read = nv_command(0x14E, INDEX, struct.pack(">HH", 16, 0))
    text = INIT.replace("MODULES", " ".join(MODULES)).replace("MIB", str(MIB))
    text = text.replace("DATA_AT", str(1 + ESP_MIB)).replace("NV_READ", "".join(f"\\{byte:03o}" for byte in read))
    (tree / "init").write_text(text)
    (tree / "init").chmod(0o755)
    names = "\n".join(sorted(str(path.relative_to(tree)) for path in tree.rglob("*")))
    packed = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet", "--reproducible", "-R", "0:0"],
        cwd=tree, input=names.encode(), check=True, capture_output=True,
    ).stdout
    (work / "initrd").write_bytes(gzip.compress(packed, 6, mtime=0))


def unified_kernel(root, work):
    """Kernel, initramfs and command line as one program of UEFI."""
    (work / "cmdline").write_text("console=ttyS0 panic=-1 rdinit=/init quiet\0")
    (work / "osrel").write_text("NAME=vm\n")
    linux = next(root.glob("boot/vmlinuz-*"))
    sections = [("osrel", work / "osrel", 0x20000), ("cmdline", work / "cmdline", 0x30000)]
    sections += [("linux", linux, 0x2000000), ("initrd", work / "initrd", 0x3000000)]
    words = []
    for name, file, address in sections:
        words += ["--add-section", f".{name}={file}", "--change-section-vma", f".{name}={address:#x}"]
    run("objcopy", *words, STUB, work / "vm.efi")


def disk(work, out):
    esp, raw = work / "esp.img", work / "disk.raw"
    run("mkfs.vfat", "-F", "16", "-n", "ESP", "-i", "00000001", "--invariant", "-C", esp, ESP_MIB * 1024)
    run("mmd", "-i", esp, "::EFI", "::EFI/BOOT")
    run("mcopy", "-i", esp, work / "vm.efi", "::EFI/BOOT/BOOTX64.EFI")
    with open(raw, "wb") as file:
        file.truncate(DISK_MIB * MIB)
    table = f"""label: gpt
label-id: 11111111-1111-4111-8111-111111111111
start={MIB // 512}, size={ESP_MIB * MIB // 512}, type=uefi, uuid=11111111-1111-4111-8111-111111111112
start={(1 + ESP_MIB) * MIB // 512}, size={MIB // 512}, type=linux, uuid=11111111-1111-4111-8111-111111111113
"""
    run("sfdisk", "--quiet", raw, input=table.encode())
    with open(raw, "r+b") as file:
        file.seek(MIB)
        file.write(esp.read_bytes())
        file.seek((1 + ESP_MIB) * MIB)
        file.write(DATA + b"\n")
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, out)


def nv_command(code, index, parameters, auth=INDEX):
    """A command on an index of the TPM, authorised by an empty password."""
    handles = struct.pack(">II", auth, index) if code != 0x12A else struct.pack(">I", auth)
    password = struct.pack(">IIHBH", 9, 0x40000009, 0, 0, 0)
    body = handles + password + parameters
    return struct.pack(">HII", 0x8002, 10 + len(body), code) + body


def tpm(state, value):
    """A new TPM in which a value is stored."""
    state.mkdir(parents=True)
    run("swtpm_setup", "--tpm2", "--tpmstate", state.resolve(), "--overwrite", stderr=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory() as short:
        path = f"{short}/tpm"
        server = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state.resolve()}", "--server",
             f"type=unixio,path={path}", "--flags", "not-need-init,startup-clear"],
            stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            if pathlib.Path(path).exists():
                break
            time.sleep(0.05)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)

            def ask(command):
                client.sendall(command)
                answer = client.recv(4096)
                code = struct.unpack(">I", answer[6:10])[0]
                if code:
                    raise SystemExit(f"the TPM refuses a command: {code:#x}")

            # Read and written by whoever knows its empty password; no lock-out.
            public = struct.pack(">IHIHH", INDEX, 0x000B, 0x02060006, 0, len(value))
            define = struct.pack(">HH", 0, len(public)) + public
            ask(nv_command(0x12A, INDEX, define, auth=0x40000001))
            ask(nv_command(0x137, INDEX, struct.pack(">H", len(value)) + value + struct.pack(">H", 0)))
            ask(struct.pack(">HIIH", 0x8001, 12, 0x145, 0))
        server.terminate()
        server.wait()
    for leftover in state.glob(".lock"):
        leftover.unlink()


def make(folder, cache, value):
    machine = folder / "machine"
    machine.mkdir(parents=True)
    cache.mkdir(parents=True, exist_ok=True)
    root = kernel(cache)
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        initramfs(root, work)
        unified_kernel(root, work)
        disk(work, machine / "disk.qcow2")
    shutil.copy(VARIABLES, machine / "firmware-vars.fd")
    tpm(machine / "tpm", value)
    description = {
        "version": "carnet-machine-1", "name": "vm", "architecture": "x86_64", "processors": 1,
        "memory_mib": 256, "firmware": "uefi", "tpm": True, "disk_format": "qcow2",
        "disk_virtual_size": DISK_MIB * MIB,
    }
    (machine / "machine.json").write_text(json.dumps(description, indent=2) + "\n")


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("folder", type=pathlib.Path)
    words.add_argument("--cache", type=pathlib.Path, default=pathlib.Path.home() / ".cache/carnet-vm")
    words.add_argument("--tpm-value", default="6b6570742062792074686520746d7021")
    asked = words.parse_args()
    make(asked.folder, asked.cache, bytes.fromhex(asked.tpm_value))
    print(f"made {asked.folder}/machine")
