#!/usr/bin/env bash
# Finds PostgreSQL's programs, which the tests need; on Debian and Ubuntu as root, installs them. Starts no server.
set -euo pipefail
found() { command -v postgres >/dev/null || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; }
found && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "· PostgreSQL"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  # The package would make a cluster and start it; the tests make their own.
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql-common \
    && mkdir -p /etc/postgresql-common/createcluster.d \
    && echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.d/fitmatrix.conf \
    && apt-get install -y -qq --no-install-recommends postgresql; } >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; exit 1; }
  rm -f "$log"
  found && exit 0
fi
echo "PostgreSQL is missing: install it (on Debian and Ubuntu 'sudo apt install postgresql')." >&2
exit 1
