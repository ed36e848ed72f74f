#!/usr/bin/env bash
# Finds nginx, behind which a test puts a coordinator and with which a benchmark compares; on Debian and Ubuntu as root, installs it.
set -euo pipefail
PATH=$PATH:/usr/sbin:/usr/local/sbin
command -v nginx >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "· nginx"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx-light; } >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; exit 1; }
  rm -f "$log"
  command -v nginx >/dev/null && exit 0
fi
echo "nginx is missing: install it (on Debian and Ubuntu 'sudo apt install nginx-light')." >&2
exit 1
