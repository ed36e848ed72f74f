#!/usr/bin/env bash
# Finds Chrome or Chromium and a chromedriver; on Debian and Ubuntu as root, installs Chromium.
set -euo pipefail
found() { for name in "$@"; do command -v "$name" >/dev/null && return 0; done; return 1; }
ready() { found google-chrome google-chrome-stable chromium chromium-browser && found chromedriver; }
ready && exit 0
[ "$(uname)" = Darwin ] && [ -d "/Applications/Google Chrome.app" ] && found chromedriver && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "· Chromium and its driver"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver fonts-dejavu-core; } >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; exit 1; }
  rm -f "$log"
  ready && exit 0
fi
echo "No Chrome or Chromium with its chromedriver was found. Install both, of one version: on Debian and Ubuntu
'sudo apt install chromium chromium-driver'; elsewhere Chrome and the chromedriver of its version on the PATH." >&2
exit 1
