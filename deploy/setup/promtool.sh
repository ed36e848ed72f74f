#!/usr/bin/env bash
# Finds promtool, which the tests need; on Debian and Ubuntu as root, installs it.
set -euo pipefail
command -v promtool >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "· promtool"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends prometheus; } >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; exit 1; }
  rm -f "$log"
  command -v promtool >/dev/null && exit 0
fi
echo "promtool is missing: install Prometheus (on Debian and Ubuntu 'sudo apt install prometheus')." >&2
exit 1
