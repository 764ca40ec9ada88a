#!/bin/sh
# The web server where it runs before the move, under a runtime of its own, on port 18079.
#
#     lab.sh up|start|stop|down
set -e
cd "$(dirname "$0")"
export CONTAINERS_CONF="$PWD/containers.conf"
lab() { podman --root "$PWD/lab/pods/storage" --runroot "$PWD/lab/pods/run" "$@"; }
case "$1" in
up)
  lab run --quiet --detach --name web --volume "$PWD/config/site:/site:ro" oci:lab/image:v1 \
    serve -p 127.0.0.1:18079 -h /site
  ;;
start) lab start web ;;
stop) lab stop --time 10 web ;;
down)
  lab rm --force --time 0 web
  # What podman holds mounted where its last command met another one that ended.
  umount "$PWD/lab/pods/storage/overlay" 2>/dev/null || true
  ;;
*) sed -n 4p "$0" && exit 2 ;;
esac
