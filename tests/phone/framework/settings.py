"""Properties, settings and the services that only change a setting: getprop, settings, svc, wm, cmd, ime …"""

from tests.phone.framework.registry import SHELL_COMMANDS, Call

_ZEN_MODES = {"on": "2", "none": "2", "priority": "1", "alarms": "3", "off": "0", "all": "0"}
_STAY_ON = {"true": "7", "ac": "1", "usb": "2", "wireless": "4", "false": "0"}


@SHELL_COMMANDS.add("getprop")
async def getprop(call: Call) -> None:
    properties = call.phone.state.properties
    if call.words:
        await call.say(properties.get(call.words[0], call.word(1)) + "\n")
    else:
        await call.say("".join(f"[{name}]: [{value}]\n" for name, value in sorted(properties.items())))


@SHELL_COMMANDS.add("setprop")
async def setprop(call: Call) -> int:
    if len(call.words) != 2:
        await call.complain("usage: setprop NAME VALUE\n")
        return 1
    name, value = call.words
    if name.startswith("ro."):
        await call.complain(f"Failed to set property '{name}' to '{value}'.\nSee dmesg for error reason.\n")
        return 1
    call.phone.state.properties[name] = value
    return 0


@SHELL_COMMANDS.add("settings")
async def settings(call: Call) -> int | None:
    """`settings [--user N] get|put|delete|list NAMESPACE [KEY [VALUE]]`."""
    if call.word(0) == "--user":
        call = call.shifted(2)
    verb, namespace, key = call.word(0), call.word(1), call.word(2)
    kept = call.phone.state.settings
    if namespace not in ("system", "secure", "global"):
        await call.complain(f"Invalid namespace '{namespace}'\n")
        return 255
    if verb == "put" and len(call.words) >= 4:
        kept[namespace, key] = call.words[3]
    elif verb == "get" and key:
        await call.say(kept.get((namespace, key), "null") + "\n")
    elif verb == "delete" and key:
        deleted = kept.pop((namespace, key), None)
        await call.say(f"Deleted {int(deleted is not None)} rows\n")
    elif verb == "list":
        lines = [f"{name}={value}\n" for (space, name), value in sorted(kept.items()) if space == namespace]
        await call.say("".join(lines))
    else:
        await call.complain("Bad arguments\n")
        return 255
    return None


@SHELL_COMMANDS.add("svc")
async def svc(call: Call) -> int | None:
    """`svc power stayon true|false|usb|ac|wireless`, `svc wifi|data enable|disable`, `svc power reboot`."""
    match call.words:
        case ["power", "stayon", mode] if mode in _STAY_ON:
            call.phone.state.settings["global", "stay_on_while_plugged_in"] = _STAY_ON[mode]
            if mode != "false":
                call.phone.state.screen_on = True
        case ["power", "reboot", *_]:
            call.phone.reboot()
        case ["wifi", ("enable" | "disable") as verb]:
            call.phone.state.settings["global", "wifi_on"] = "1" if verb == "enable" else "0"
            call.phone.state.network = verb == "enable"
        case ["data", "enable" | "disable"]:
            return None
        case _:
            call.unknown()
            await call.complain("Available commands:\n    help\n    power\n    data\n    wifi\n    usb\n")
            return 255
    return None


@SHELL_COMMANDS.add("wm")
async def wm(call: Call) -> int | None:
    profile = call.phone.profile
    match call.words:
        case ["size"]:
            await call.say(f"Physical size: {profile.width}x{profile.height}\n")
        case ["density"]:
            await call.say(f"Physical density: {profile.density}\n")
        case ["dismiss-keyguard"]:
            call.phone.state.locked = False
        case _:
            call.unknown()
            await call.complain("Unknown command: " + call.word(0) + "\n")
            return 255
    return None


@SHELL_COMMANDS.add("cmd")
async def cmd(call: Call) -> int | None:
    """`cmd SERVICE …`; package, activity and settings are commands of their own."""
    aliases = {"package": "pm", "activity": "am", "settings": "settings", "window": "wm", "input": "input"}
    service = call.word(0)
    if service in aliases:
        name = aliases[service]
        shifted = call.shifted(1)
        shifted.name = name
        return await SHELL_COMMANDS.by_name[name](shifted)
    match call.words:
        case ["notification", "set_dnd", mode] if mode in _ZEN_MODES:
            call.phone.state.settings["global", "zen_mode"] = _ZEN_MODES[mode]
        case ["notification", "allow_listener" | "disallow_listener", *_]:
            return None
        case ["thermalservice", "override-status", status]:
            call.phone.state.thermal_status = int(status)
        case ["thermalservice", "reset"]:
            call.phone.state.thermal_status = 0
        case ["-l"]:
            await call.say("Currently running services:\n  activity\n  notification\n  package\n  settings\n")
        case ["appops" | "deviceidle" | "uimode" | "statusbar" | "overlay" | "jobscheduler", *_]:
            return None
        case _:
            call.unknown()
            await call.complain(f"cmd: Can't find service: {service}\n")
            return 20
    return None


@SHELL_COMMANDS.add("input")
async def input_event(call: Call) -> int | None:
    """`input keyevent …` wakes, sleeps and unlocks; taps and swipes go nowhere."""
    state = call.phone.state
    if call.word(0) in ("tap", "swipe", "text", "touchscreen"):
        return None
    if call.word(0) != "keyevent" or len(call.words) < 2:
        await call.complain("Error: Invalid arguments for command: input\n")
        return 255
    for key in call.words[1:]:
        name = key.removeprefix("KEYCODE_")
        if name in ("26", "POWER"):
            state.screen_on = not state.screen_on
        elif name in ("224", "WAKEUP"):
            state.screen_on = True
        elif name in ("223", "SLEEP"):
            state.screen_on = False
        elif name in ("82", "MENU"):
            state.locked = False
        elif name in ("3", "HOME"):
            state.foreground = "com.android.launcher3"
    return None


@SHELL_COMMANDS.add("ime")
async def ime(call: Call) -> None:
    if call.word(0) == "list":
        await call.say("com.android.inputmethod.latin/.LatinIME\n")


@SHELL_COMMANDS.add("locksettings")
async def locksettings(call: Call) -> None:
    if call.word(0) == "verify":
        await call.say("Lock credential verified successfully\n")


@SHELL_COMMANDS.add("appops")
async def appops(call: Call) -> None:
    """Modes of operations are taken and not looked at."""
