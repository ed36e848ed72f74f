#!/usr/bin/env bash
# Finds what the tests of several hosts need; on Debian and Ubuntu as root, installs it. Starts no server.
set -euo pipefail
found() {
  for tool in ip tc nsenter unshare setpriv openssl; do command -v "$tool" >/dev/null || return 1; done
  command -v redis-server || command -v valkey-server || command -v redis-check-rdb
}
found >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "· iproute2, OpenSSL, Redis"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  # The server is in redis-tools, under another name; the package redis-server would start a service besides.
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends iproute2 util-linux openssl redis-tools; } >"$log" 2>&1 \
    || { cat "$log" >&2; rm -f "$log"; exit 1; }
  rm -f "$log"
  found >/dev/null && exit 0
fi
echo "The tests of several hosts need iproute2, util-linux, openssl and a redis-server or valkey-server built with TLS" >&2
echo "(on Debian and Ubuntu 'sudo apt install iproute2 util-linux openssl redis-server')." >&2
exit 1
