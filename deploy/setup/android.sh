#!/usr/bin/env bash
# Finds adb, the tools around it and Appium, which simulated phones and agents with phones need; on Debian and Ubuntu as
# root, installs what is missing. Appium goes to .cache/appium, at the versions that agents/appium pins.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
programs=(aapt aapt2 adb apksigner ip java javac mkfs.ext4 mksh nsenter setpriv smali toybox zipalign)
packages=(aapt adb apksigner zipalign libsmali-java android-framework-res default-jdk-headless mksh toybox iproute2 e2fsprogs util-linux)
framework=/usr/share/android-framework-res/framework-res.apk
missing() {
  for name in "${programs[@]}"; do PATH=$PATH:/usr/sbin:/sbin command -v "$name" >/dev/null || printf '%s ' "$name"; done
  [ -e "$framework" ] || printf '%s ' "$framework"
}
if [ -n "$(missing)" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "· adb, Android's packaging tools and a JDK"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; exit 1; }
  rm -f "$log"
fi
if [ -n "$(missing)" ]; then
  echo "Missing for phones: $(missing). On Debian and Ubuntu: sudo apt install ${packages[*]}" >&2
  exit 1
fi
appium=$root/.cache/appium
if ! { [ -f "$appium/node_modules/.installed" ] && cmp -s "$root/agents/appium/package-lock.json" "$appium/package-lock.json"; }; then
  # A directory that somebody else looks after, linked here, is left alone.
  if [ -L "$appium" ] && [ -f "$appium/node_modules/appium/index.js" ]; then exit 0; fi
  echo "· Appium and its driver for Android"
  mkdir -p "$appium"
  cp "$root"/agents/appium/{package.json,package-lock.json,.npmrc} "$appium/"
  APPIUM_SKIP_CHROMEDRIVER_INSTALL=1 "$root/deploy/setup/node.sh" npm --prefix "$appium" ci \
    --no-fund --no-audit --no-update-notifier --loglevel=error
  touch "$appium/node_modules/.installed"
fi
