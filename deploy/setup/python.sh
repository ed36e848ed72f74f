#!/usr/bin/env bash
# python.sh PYTHON VENV: makes the virtual environment, or says what is missing.
set -euo pipefail
python=$1 venv=$2
command -v "$python" >/dev/null || { echo "fitmatrix needs Python 3.11 or newer: install it, or run make PYTHON=/path/to/python3" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "fitmatrix needs Python 3.11 or newer, and $python is $("$python" -V): run make PYTHON=/path/to/python3.11" >&2; exit 1; }
echo "· Python environment in $venv"
"$python" -m venv "$venv" || { rm -rf "$venv"; echo "Python's venv module is missing: on Debian, apt install python3-venv" >&2; exit 1; }
