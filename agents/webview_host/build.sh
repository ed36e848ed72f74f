#!/usr/bin/env bash
# build.sh: builds the WebView host app, dist/webviewhost.apk, signed with a key of this machine (build/signing.jks).
# The same sources give the same app, its signature apart. Tools: those of the Android SDK at ANDROID_HOME where it has
# them, else those on the path; and smali, which no SDK has.
set -euo pipefail
cd "$(dirname "$0")"
export TZ=UTC LC_ALL=C
debian="on Debian and Ubuntu 'apt install libsmali-java aapt android-framework-res zipalign apksigner default-jdk-headless'"

if [ -n "${ANDROID_HOME:-}" ]; then
  tools=$(find "$ANDROID_HOME/build-tools" -mindepth 1 -maxdepth 1 2>/dev/null | sort -V | tail -n 1)
  [ -z "$tools" ] || PATH=$tools:$PATH
fi
for tool in smali aapt zipalign apksigner keytool; do
  if ! command -v "$tool" >/dev/null; then
    echo "The WebView host app cannot be built: $tool is missing; $debian." >&2
    exit 1
  fi
done
framework=/usr/share/android-framework-res/framework-res.apk
for platform in $(find "${ANDROID_HOME:-/nonexistent}/platforms" -name android.jar 2>/dev/null | sort -V); do
  framework=$platform
done
if [ ! -f "$framework" ]; then
  echo "The WebView host app cannot be built: Android's own resources are missing; $debian, or install a platform with the SDK's manager." >&2
  exit 1
fi

mkdir -p build dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# More than one job at a time would put the classes into any order.
smali assemble --api 26 --jobs 1 --output "$work/classes.dex" smali
aapt package -f -M AndroidManifest.xml -S res -I "$framework" -F "$work/unsigned.apk"
(cd "$work" && aapt add -f unsigned.apk classes.dex >/dev/null)
zipalign -f 4 "$work/unsigned.apk" "$work/aligned.apk"
# An app of another key does not replace the one on a phone: the key is kept for as long as this folder is.
if [ ! -f build/signing.jks ]; then
  keytool -genkeypair -keystore "$work/signing.jks" -storetype PKCS12 -storepass fitmatrix -alias fitmatrix -keyalg RSA \
    -keysize 2048 -validity 36500 -dname CN=fitmatrix 2>/dev/null
  mv "$work/signing.jks" build/signing.jks
fi
apksigner sign --ks build/signing.jks --ks-pass pass:fitmatrix --min-sdk-version 26 --out "$work/webviewhost.apk" "$work/aligned.apk"
apksigner verify --min-sdk-version 26 "$work/webviewhost.apk"
cp "$work/aligned.apk" build/unsigned.apk
mv "$work/webviewhost.apk" dist/webviewhost.apk
