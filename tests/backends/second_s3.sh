#!/usr/bin/env bash
# A second, real S3 implementation for the tests: OpenStack Swift with its s3api middleware, from PyPI, on the loopback.
# Needs no root. Its data and processes end with `stop`.
#
#   eval "$(tests/backends/second_s3.sh start)"     installs (once), starts, and sets MAOS_CKPT_TEST_S3_*
#   python -m pytest tests/backends -k second
#   tests/backends/second_s3.sh stop "$MAOS_CKPT_TEST_S3_DIR"
#
# Any other S3 server does as well: set the three MAOS_CKPT_TEST_S3_* variables to it by hand.
set -euo pipefail
umask 077

swift_spec=${SWIFT_SPEC:-swift==2.38.3}
venv=${SWIFT_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/maos-ckpt-tests/$swift_spec}
access_key=test:tester # ACCOUNT:USER, which Swift's tempauth takes as the access key
secret_key=testing

install() {
  [ -f "$venv/installed" ] && return
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet "$swift_spec" >&2
  touch "$venv/installed"
}

free_ports() {
  python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
print(*[one.getsockname()[1] for one in sockets])'
}

# The kernel says when a process began, so that a number given anew to another process is never signalled.
began() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

configure() { # DIR PROXY ACCOUNT CONTAINER OBJECT: configuration and rings for four servers on these ports
  local dir=$1 proxy=$2 name port entry
  mkdir -p "$dir/srv/d0" "$dir/cache"
  cat >"$dir/swift.conf" <<C
[swift-hash]
swift_hash_path_prefix = loopback
swift_hash_path_suffix = loopback
[storage-policy:0]
name = one
default = yes
policy_type = replication
C
  for entry in "account:$3" "container:$4" "object:$5"; do
    name=${entry%:*} port=${entry#*:}
    cat >"$dir/$name-server.conf" <<C
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $port
workers = 0
user = $(id -un)
swift_dir = $dir
devices = $dir/srv
mount_check = false
recon_cache_path = $dir/cache
log_level = WARNING
log_address = $dir/no-syslog
[pipeline:main]
pipeline = $name-server
[app:$name-server]
use = egg:swift#$name
C
    "$venv/bin/swift-ring-builder" "$dir/$name.builder" create 4 1 0
    "$venv/bin/swift-ring-builder" "$dir/$name.builder" add "r1z1-127.0.0.1:$port/d0" 100
    "$venv/bin/swift-ring-builder" "$dir/$name.builder" rebalance
  done >>"$dir/rings.out" 2>&1
  cat >"$dir/proxy-server.conf" <<C
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $proxy
workers = 0
user = $(id -un)
swift_dir = $dir
log_level = WARNING
log_address = $dir/no-syslog
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck listing_formats bulk s3api tempauth copy slo dlo symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
allow_no_owner = true
max_upload_part_num = 10000
[filter:tempauth]
use = egg:swift#tempauth
user_${access_key%%:*}_${access_key#*:} = $secret_key .admin
[filter:slo]
use = egg:swift#slo
max_manifest_segments = 10000
C
  for name in catch_errors gatekeeper healthcheck listing_formats bulk copy dlo symlink; do
    printf '[filter:%s]\nuse = egg:swift#%s\n' "$name" "$name" >>"$dir/proxy-server.conf"
  done
}

start() {
  install
  local dir name pid ports tries=0
  dir=$(mktemp -d -t maos-ckpt-swift.XXXXXX)
  read -r -a ports < <(free_ports)
  configure "$dir" "${ports[@]}"
  for name in account container object proxy; do
    setsid "$venv/bin/swift-$name-server" "$dir/$name-server.conf" -v >"$dir/$name.out" 2>&1 </dev/null &
    pid=$!
    echo "$pid $(began "$pid")" >>"$dir/processes"
  done
  until curl --silent --fail --output /dev/null --max-time 2 "http://127.0.0.1:${ports[0]}/healthcheck"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ]; then
      tail -n 5 "$dir"/*.out >&2
      stop "$dir"
      exit 1
    fi
    sleep 0.1
  done
  cat <<E2
export MAOS_CKPT_TEST_S3_ENDPOINT=http://127.0.0.1:${ports[0]}
export MAOS_CKPT_TEST_S3_ACCESS_KEY=$access_key
export MAOS_CKPT_TEST_S3_SECRET_KEY=$secret_key
export MAOS_CKPT_TEST_S3_DIR=$dir
E2
}

stop() { # DIR
  local pid start
  [ -f "$1/processes" ] || { echo "$1 is not the directory of a server that this script started" >&2; exit 2; }
  while read -r pid start; do
    if [ "$(began "$pid")" = "$start" ]; then kill -KILL "$pid"; fi
  done <"$1/processes"
  rm -rf -- "$1"
}

case ${1:-} in
  start) start ;;
  stop) stop "${2:?the directory that start named}" ;;
  *) echo "usage: $0 start | stop DIR" >&2; exit 2 ;;
esac
