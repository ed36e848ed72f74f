#!/usr/bin/env bash
# Fails when a generated file is not what its source gives today.
set -euo pipefail
schema=$(mktemp)
benchmarks=$(mktemp)
dashboards=$(mktemp -d)
trap 'rm -rf "$schema" "$benchmarks" "$dashboards"' EXIT
.venv/bin/python -m orchestrator.contract.schema > "$schema"
if ! diff -u webpayloads/contract.schema.json "$schema"; then
  echo "The pages' contract is out of date: run 'make types' and commit the result." >&2
  exit 1
fi
types=webpayloads/src/contract.ts
before=$(cat "$types")
deploy/setup/node.sh npm --prefix webpayloads run --silent types
if [ "$before" != "$(cat "$types")" ]; then
  git --no-pager diff -- "$types" >&2 || true
  echo "$types was out of date and has been generated anew: commit it." >&2
  exit 1
fi
.venv/bin/python -m tests.bench.markdown > "$benchmarks"
if ! diff -u docs/benchmarks.md "$benchmarks"; then
  echo "docs/benchmarks.md is not what docs/benchmarks.json gives: run 'python -m tests.bench.markdown > docs/benchmarks.md'." >&2
  exit 1
fi
.venv/bin/python -m grafana "$dashboards"
if ! diff -ru grafana/dashboards "$dashboards"; then
  echo "grafana/dashboards is not what its source gives: run 'python -m grafana grafana/dashboards' and commit it." >&2
  exit 1
fi
