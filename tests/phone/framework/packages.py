"""The package manager: pm, and `dumpsys package`."""

import asyncio
import re
import shutil
import subprocess
import zipfile
from itertools import count
from pathlib import Path

from tests.phone.framework.registry import DUMPS, SHELL_COMMANDS, Call
from tests.phone.profiles import CHROME, WEBVIEW, WEBVIEW_HOST
from tests.phone.state import Package

_PIECE_BYTES = 64 * 1024
_STAGES = count(1)
"""Two installations may run at once, each with a file of its own."""
_SIGNATURE = re.compile(r"META-INF/\w+\.(RSA|DSA|EC)")
_SIGNING_BLOCK = b"APK Sig Block 42"
_BADGE = re.compile(r"package: name='([^']+)' versionCode='(\d*)' versionName='([^']*)'")
_TARGET = re.compile(r"targetSdkVersion:'(\d+)'")
_ACTIVITY = re.compile(r"launchable-activity: name='([^']+)'")


@SHELL_COMMANDS.add("pm")
async def pm(call: Call) -> int | None:
    verb = _VERBS.get(call.word(0))
    if verb is None:
        call.unknown()
        await call.complain(f"Unknown command: {call.word(0)}\n")
        return 255
    return await verb(call.shifted(1))


async def _path(call: Call) -> int | None:
    package = call.phone.state.packages.get(call.words[-1] if call.words else "")
    if package is None:
        return 1
    await call.say(f"package:{_apk_of(package)}\n")
    return None


async def _list(call: Call) -> int | None:
    kind = call.word(0)
    packages = call.phone.state.packages
    if kind == "packages":
        wanted = [word for word in call.words[1:] if not word.startswith("-") and not word.isdigit()]
        lines = []
        for package in packages.values():
            hidden = ("-3" in call.words and package.system) or ("-s" in call.words and not package.system)
            if hidden or (wanted and wanted[0] not in package.name):
                continue
            path = f"{_apk_of(package)}=" if "-f" in call.words else ""
            code = f" versionCode:{package.version_code}" if "--show-versioncode" in call.words else ""
            lines.append(f"package:{path}{package.name}{code}\n")
        await call.say("".join(lines))
    elif kind == "instrumentation":
        runner = "androidx.test.runner.AndroidJUnitRunner"
        tests = [name for name in packages if name.endswith(".test")]
        lines = [f"instrumentation:{name}/{runner} (target={name.removesuffix('.test')})\n" for name in tests]
        await call.say("".join(lines))
    elif kind == "users":
        await call.say("Users:\n\tUserInfo{0:Owner:c13} running\n")
    elif kind == "features":
        await call.say("feature:android.hardware.touchscreen\nfeature:android.software.webview\n")
    else:
        call.unknown()
        await call.complain(f"Error: unknown list type '{kind}'\n")
        return 255
    return None


async def _resolve_activity(call: Call) -> None:
    package = call.phone.state.packages.get(call.words[-1] if call.words else "")
    if package is None or package.activity is None:
        await call.say("No activity found\n")
        return
    flags = "priority=0 preferredOrder=0 match=0x108000 specificIndex=-1 isDefault=true"
    await call.say(f"{flags}\n{package.name}/{package.activity}\n")


async def _clear(call: Call) -> int | None:
    """`pm clear PACKAGE`: its processes, its files and its permissions."""
    phone, name = call.phone, call.words[-1] if call.words else ""
    if name not in phone.state.packages:
        await call.say("Failed\n")
        return 1
    await phone.stop_app(name)
    shutil.rmtree(phone.machine.locate(f"/data/data/{name}"), ignore_errors=True)
    phone.state.permissions.pop(name, None)
    await call.say("Success\n")
    return None


async def _grant(call: Call) -> int | None:
    if call.word(0) not in call.phone.state.packages:
        await call.complain(f"Exception occurred while executing 'grant':\nUnknown package: {call.word(0)}\n")
        return 255
    call.phone.state.permissions.setdefault(call.word(0), set()).add(call.word(1))
    return None


async def _revoke(call: Call) -> None:
    call.phone.state.permissions.get(call.word(0), set()).discard(call.word(1))


async def _install(call: Call) -> int | None:
    """`pm install [-r …] FILE`, or `-S BYTES` with the APK on standard input, as `adb install` streams it."""
    phone = call.phone
    incoming = phone.machine.locate(f"/data/app/vmdl{next(_STAGES)}.tmp")
    size = call.option("-S")
    try:
        if size is None:
            path = phone.machine.locate(call.words[-1])
        else:
            path = incoming
            await _receive(call, incoming, int(size))
        return await _install_file(call, path)
    except OSError as error:
        message = f"INSTALL_FAILED_INSUFFICIENT_STORAGE: {error.strerror}"
        await call.say(f"Failure [{message}]\n")
        return 1
    finally:
        incoming.unlink(missing_ok=True)


async def _receive(call: Call, file: Path, size: int) -> None:
    """All of it is taken, also when the storage is full, or the sender would never end."""
    problem: OSError | None = None
    with file.open("wb", buffering=0) as output:
        while size > 0:
            piece = await call.stdin.read_exactly(min(size, _PIECE_BYTES))
            size -= len(piece)
            try:
                while piece and problem is None:
                    piece = piece[output.write(piece) :]
            except OSError as error:
                problem = error
    if problem is not None:
        raise problem


async def _install_file(call: Call, path: Path) -> int | None:
    phone = call.phone
    badging = await asyncio.to_thread(
        subprocess.run, ["aapt", "dump", "badging", str(path)], capture_output=True, text=True, check=False
    )
    badge = _BADGE.search(badging.stdout)
    if badge is None:
        await call.say("Failure [INSTALL_PARSE_FAILED_NOT_APK: Failed to parse APK]\n")
        return 1
    if not await asyncio.to_thread(_is_signed, path):
        sentence = "Failed to collect certificates from base.apk: Attempt to get length of null array"
        await call.say(f"Failure [INSTALL_PARSE_FAILED_NO_CERTIFICATES: {sentence}]\n")
        return 1
    name = badge[1]
    if name in phone.state.packages and "-r" not in call.words and phone.profile.sdk < 28:
        await call.say("Failure [INSTALL_FAILED_ALREADY_EXISTS]\n")
        return 1
    await phone.stop_app(name)
    target = phone.machine.locate(f"/data/app/{name}")
    target.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copyfile(path, target / "base.apk")
    except OSError:
        shutil.rmtree(target, ignore_errors=True)
        raise
    activity = _ACTIVITY.search(badging.stdout)
    sdk = _TARGET.search(badging.stdout)
    phone.state.packages[name] = Package(
        name,
        badge[3],
        int(badge[2] or 0),
        debuggable="application-debuggable" in badging.stdout,
        activity=activity[1] if activity else None,
        target_sdk=int(sdk[1]) if sdk else 1,
    )
    phone.journal("INSTALLED", f"{name} {badge[2]} {badge[3]}")
    await call.say("Success\n")
    return None


def _is_signed(path: Path) -> bool:
    """Whether there is a signature, of the old kind or the new; who signed it is not looked at."""
    with zipfile.ZipFile(path) as apk:
        if any(_SIGNATURE.fullmatch(name) for name in apk.namelist()):
            return True
    return _SIGNING_BLOCK in path.read_bytes()


async def _uninstall(call: Call) -> int | None:
    phone, name = call.phone, call.words[-1] if call.words else ""
    if name not in phone.state.packages:
        await call.say("Failure [DELETE_FAILED_INTERNAL_ERROR]\n")
        return 1
    await phone.stop_app(name)
    del phone.state.packages[name]
    shutil.rmtree(phone.machine.locate(f"/data/app/{name}"), ignore_errors=True)
    if "-k" not in call.words:
        shutil.rmtree(phone.machine.locate(f"/data/data/{name}"), ignore_errors=True)
    await call.say("Success\n")
    return None


async def _dump(call: Call) -> int | None:
    return await dump_package(call)


def _apk_of(package: Package) -> str:
    return f"/data/app/{package.name}/base.apk"


@DUMPS.add("package")
async def dump_package(call: Call) -> int | None:
    name = call.words[-1] if call.words else ""
    package = call.phone.state.packages.get(name)
    if package is None:
        await call.say(f"Unable to find package: {name}\n")
        return None
    granted = "".join(
        f"        {permission}: granted=true\n" for permission in sorted(call.phone.state.permissions.get(name, set()))
    )
    flags = "HAS_CODE ALLOW_CLEAR_USER_DATA ALLOW_BACKUP"
    flags += " SYSTEM" if package.system else ""
    flags += " DEBUGGABLE" if package.debuggable else ""
    main = ""
    if package.activity is not None:
        component = f"{name}/{package.activity}"
        main = (
            "Activity Resolver Table:\n  Non-Data Actions:\n      android.intent.action.MAIN:\n"
            f'        1a2b3c4 {component} filter 5d6e7f8\n          Action: "android.intent.action.MAIN"\n'
            '          Category: "android.intent.category.LAUNCHER"\n\n'
        )
    await call.say(
        f"{main}Packages:\n  Package [{name}] (3f2a1b0):\n    userId={_user_id(name)}\n"
        f"    pkg=Package{{9c8d7e6 {name}}}\n"
        f"    codePath=/data/app/{name}\n    resourcePath=/data/app/{name}\n"
        f"    versionCode={package.version_code} minSdk=26 targetSdk={package.target_sdk}\n"
        f"    versionName={package.version}\n    flags=[ {flags} ]\n    dataDir=/data/user/0/{name}\n"
        "    installerPackageName=null\n    User 0: ceDataInode=1 installed=true hidden=false suspended=false "
        f"stopped=false notLaunched=false enabled=0\n      runtime permissions:\n{granted}"
    )
    return None


@DUMPS.add("webviewupdate")
async def dump_webview(call: Call) -> None:
    webview = call.phone.state.packages.get(WEBVIEW)
    current = "  Current WebView package is null\n"
    listed = f"    {WEBVIEW} is NOT installed.\n"
    if webview is not None:
        current = f"  Current WebView package (name, version): ({WEBVIEW}, {webview.version})\n"
        listed = (
            f"    Valid package {WEBVIEW} (versionName: {webview.version}, versionCode: {webview.version_code}, "
            f"targetSdkVersion: {webview.target_sdk}) is installed/enabled for all users\n"
        )
    await call.say(
        f"Current WebView Update Service state\n  Multiprocess enabled: true\n{current}"
        "  Minimum targetSdkVersion: 29\n  Minimum WebView version code: 384000000\n"
        "  Number of relros started: 1\n  Number of relros finished: 1\n  WebView package dirty: false\n"
        f"  Any WebView package installed: {str(webview is not None).lower()}\n"
        f"  Preferred WebView package (name, version): ({WEBVIEW}, {webview.version if webview else 'null'})\n"
        f"  WebView packages:\n{listed}"
    )


def _user_id(name: str) -> int:
    return {CHROME: 10101, WEBVIEW_HOST: 10102}.get(name, 10103)


_VERBS = {
    "path": _path,
    "list": _list,
    "resolve-activity": _resolve_activity,
    "clear": _clear,
    "grant": _grant,
    "revoke": _revoke,
    "install": _install,
    "uninstall": _uninstall,
    "dump": _dump,
}
