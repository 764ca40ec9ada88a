#!/bin/sh
# The machine where it runs before the move; its port 80 is 18089 of the loopback.
#
#     lab.sh start|stop
set -e
cd "$(dirname "$0")/lab"
pid() { [ -e vm.pid ] && kill -0 "$(cat vm.pid)" 2>/dev/null; }
case "$1" in
start)
  if pid; then exit 0; fi
  swtpm socket --daemon --tpm2 --tpmstate "dir=$PWD/machine/tpm" --ctrl type=unixio,path=tpm.sock --terminate
  qemu-system-x86_64 -daemonize -pidfile "$PWD/vm.pid" -machine q35 -accel tcg -m 256 -display none -nodefaults \
    -drive if=pflash,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd \
    -drive if=pflash,format=raw,file=machine/firmware-vars.fd \
    -drive if=virtio,format=qcow2,file=machine/disk.qcow2 \
    -chardev socket,id=tpm,path=tpm.sock -tpmdev emulator,id=tpm,chardev=tpm -device tpm-crb,tpmdev=tpm \
    -netdev user,id=net,hostfwd=tcp:127.0.0.1:18089-:80 -device virtio-net-pci,netdev=net \
    -serial file:console.log
  ;;
stop)
  if pid; then kill "$(cat vm.pid)"; fi
  while pid; do sleep 0.1; done
  rm -f vm.pid
  ;;
*) sed -n 4p "$0" && exit 2 ;;
esac
