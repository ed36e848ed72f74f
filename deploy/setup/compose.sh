#!/usr/bin/env bash
# Finds Docker's compose, with which the tests read deploy/compose.yaml; on Debian and Ubuntu as root, installs it.
set -euo pipefail
found() { docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null; }
found && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "· docker-compose"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends docker-compose; } >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; exit 1; }
  rm -f "$log"
  found && exit 0
fi
echo "Docker's compose is missing: install it (on Debian and Ubuntu 'sudo apt install docker-compose')." >&2
exit 1
