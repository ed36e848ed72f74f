"""The activity manager: am, and `dumpsys activity`."""

import shlex
import time

from tests.phone.framework.registry import DUMPS, SHELL_COMMANDS, Call
from tests.phone.profiles import CHROME, WEBVIEW_HOST
from tests.phone.uiautomator2 import INSTRUMENTATION

_COMMAND_LINES = {CHROME: "chrome-command-line", WEBVIEW_HOST: "webview-command-line"}
_ERROR_CLASS = "Error type 3\nError: Activity class {{{component}}} does not exist.\n"


@SHELL_COMMANDS.add("am")
async def am(call: Call) -> int | None:
    match call.words:
        case ["start" | "start-activity", *_]:
            return await _start(call)
        case ["force-stop" | "kill" | "crash", *_, package]:
            await call.phone.stop_app(package)
        case ["set-debug-app", *_, package]:
            call.phone.state.debug_app = package
        case ["clear-debug-app"]:
            call.phone.state.debug_app = None
        case ["get-current-user"]:
            await call.say("0\n")
        case ["instrument", *_, component]:
            return await _instrument(call, component)
        case ["broadcast", *_]:
            await _wake_package_of(call)
            await call.say("Broadcasting: Intent { flg=0x400000 }\nBroadcast completed: result=0\n")
        case ["startservice" | "start-service" | "start-foreground-service", *_]:
            await _wake_package_of(call)
            await call.say("Starting service: Intent { }\n")
        case ["stop-service" | "stopservice" | "stack" | "task" | "set-inactive" | "kill-all", *_]:
            return None
        case _:
            call.unknown()
            await call.complain(f"Unknown command: {call.word(0)}\n")
            return 255
    return None


async def _start(call: Call) -> int | None:
    """`am start [-W] [-S] [-a ACTION] [-d URL] [-n PACKAGE/ACTIVITY | PACKAGE]`."""
    phone, state = call.phone, call.phone.state
    url = call.option("-d")
    component = call.option("-n") or (call.option("-p") or "")
    if not component and url is not None and CHROME in state.packages:
        component = f"{CHROME}/com.google.android.apps.chrome.IntentDispatcher"
    component = component or call.words[-1]
    name = component.partition("/")[0]
    intent = "act=android.intent.action.MAIN " if url is None else f"act=android.intent.action.VIEW dat={url} "
    await call.say(f"Starting: Intent {{ {intent}cmp={component} }}\n")
    package = state.packages.get(name)
    if package is None:
        await call.complain(_ERROR_CLASS.format(component=component))
        return 1
    if "-S" in call.words:
        await phone.stop_app(name)
    warm = phone.is_running(name)
    started = time.monotonic()
    try:
        await phone.start_app(name, command_line_of(call, name), url)
    except RuntimeError as error:
        phone.journal("FAILED", str(error))
        phone.log.write("ActivityTaskManager", f"Activity idle timeout for {component}", priority="W", pid=1120)
    took_ms = int((time.monotonic() - started) * 1000)
    if warm:
        await call.say("Warning: Activity not started, its current task has been brought to the front\n")
    phone.log.write("ActivityTaskManager", f"Displayed {component}: +{took_ms}ms", pid=1120, buffer="system")
    if "-W" in call.words:
        launch = f"LaunchState: {'WARM' if warm else 'COLD'}\n" if phone.profile.sdk >= 29 else ""
        times = f"TotalTime: {took_ms}\nWaitTime: {took_ms + 3}\n"
        await call.say(f"Status: ok\n{launch}Activity: {component}\n{times}Complete\n")
    return None


def command_line_of(call: Call, package: str) -> list[str]:
    """The app's flags: Chrome reads its file when it is the debug app; the WebView of this phone always does."""
    file_name = _COMMAND_LINES.get(package)
    if file_name is None or (package == CHROME and call.phone.state.debug_app != CHROME):
        return []
    try:
        text = call.phone.machine.locate(f"/data/local/tmp/{file_name}").read_text(encoding="utf-8")
        words = shlex.split(text)[1:]
    except (OSError, ValueError):
        return []
    call.phone.journal("FLAGS", " ".join(words))
    return words


async def _instrument(call: Call, component: str) -> int | None:
    """Only Appium's server is an instrumentation here."""
    package = component.partition("/")[0]
    if package != INSTRUMENTATION or package not in call.phone.state.packages:
        await call.complain(f"INSTRUMENTATION_FAILED: {component}\n")
        return 1
    await call.say("INSTRUMENTATION_STATUS: numtests=1\nINSTRUMENTATION_STATUS_CODE: 1\n")
    await call.phone.uiautomator2.run()
    await call.say("INSTRUMENTATION_CODE: 0\n")
    return None


async def _wake_package_of(call: Call) -> None:
    """A broadcast or a service starts the process of the app it goes to."""
    target = call.option("-n") or ""
    name = target.partition("/")[0]
    if name in call.phone.state.packages and not call.phone.is_running(name):
        before = call.phone.state.foreground
        await call.phone.start_app(name, [], None)
        call.phone.state.foreground = before


@DUMPS.add("activity")
async def dump_activity(call: Call) -> None:
    state = call.phone.state
    if call.word(0) == "services":
        name = call.word(1).partition("/")[0]
        head = "ACTIVITY MANAGER SERVICES (dumpsys activity services)\n"
        if name and call.phone.is_running(name):
            record = f"  * ServiceRecord{{4b5c6d7 u0 {name}/.ForegroundService}}\n    isForeground=true\n"
            await call.say(f"{head}  User 0 active services:\n{record}")
        else:
            await call.say(f"{head}  (nothing)\n")
        return
    activity = _front_activity(call)
    await call.say(
        "ACTIVITY MANAGER ACTIVITIES (dumpsys activity activities)\n"
        f"  ResumedActivity: ActivityRecord{{2e3f4a5 u0 {activity} t1}}\n"
        f"    mResumedActivity: ActivityRecord{{2e3f4a5 u0 {activity} t1}}\n"
        f"  mFocusedApp=ActivityRecord{{2e3f4a5 u0 {activity} t1}}\n  isSleeping={str(not state.screen_on).lower()}\n"
    )


@DUMPS.add("window")
async def dump_window(call: Call) -> None:
    state, profile = call.phone.state, call.phone.profile
    activity = _front_activity(call)
    locked = str(state.locked).lower()
    on = str(state.screen_on).lower()
    rotation = state.settings.get(("system", "user_rotation"), "0")
    size = f"{profile.width}x{profile.height}"
    await call.say(
        "WINDOW MANAGER POLICY STATE (dumpsys window policy)\n"
        f"    KeyguardServiceDelegate\n      showing={locked}\n      inputRestricted={locked}\n"
        f"  mAwake={on}\n  mDreamingLockscreen=false mShowingLockscreen={locked} isStatusBarKeyguard={locked}\n"
        f"  mScreenOnFully={on}\n"
        "WINDOW MANAGER DISPLAY CONTENTS (dumpsys window displays)\n"
        f"  Display: mDisplayId=0\n    init={size} {profile.density}dpi cur={size} app={size}\n"
        f"    mCurrentRotation=ROTATION_{int(rotation) * 90}\n"
        f"  mCurrentFocus=Window{{7f6e5d4 u0 {activity}}}\n"
        f"  mFocusedApp=ActivityRecord{{2e3f4a5 u0 {activity} t1}}\n"
    )


def _front_activity(call: Call) -> str:
    name = call.phone.state.foreground
    package = call.phone.state.packages.get(name)
    return f"{name}/{(package.activity if package else None) or '.Main'}"
