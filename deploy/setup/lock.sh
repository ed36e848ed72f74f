#!/usr/bin/env bash
# lock.sh UV: pins every dependency with hashes and without registry addresses.
set -euo pipefail
uv=$1
compile() {
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
    --custom-compile-command "make lock" "$@"
}
compile pyproject.toml --extra coordinator --extra agent --group dev -o requirements/dev.txt
compile pyproject.toml --extra coordinator -c requirements/dev.txt -o requirements/coordinator.txt
compile pyproject.toml --extra agent -c requirements/dev.txt -o requirements/agent.txt
compile requirements/build.in -c requirements/dev.txt -o requirements/build.txt
compile requirements/node.in -o requirements/node.txt
compile requirements/models.in --config-file requirements/models.toml --no-emit-package torch -c requirements/dev.txt \
  -o requirements/models.txt
