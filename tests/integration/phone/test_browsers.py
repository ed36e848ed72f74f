"""Real chromedriver in the phone's Chrome and in its WebView, and how browsers fail there."""

import re
import struct
import subprocess

import pytest
from selenium.common.exceptions import WebDriverException

from tests.integration.phone.conftest import Pages
from tests.phone.adb import AdbServer
from tests.phone.chromedriver import open_app
from tests.phone.profiles import CHROME, WEBVIEW_HOST
from tests.phone.simulated import PhoneError, SimulatedPhone
from tests.waiting import wait_until

ISOLATED = "return [crossOriginIsolated, typeof SharedArrayBuffer, location.origin, navigator.userAgent]"
HUNGRY = """<title>hungry</title><script>
const held = [];
function eat() { held.push(new Uint8Array(64 << 20).fill(1)); document.title = held.length; setTimeout(eat, 1); }
</script>"""
LMKD = re.compile(r" I lowmemorykiller: Kill '(\S+)' \((\d+)\), uid (\d+), oom_adj 0 to free (\d+)kB\n")


def ask(server: AdbServer, phone: SimulatedPhone, line: str) -> str:
    return server.adb("-s", phone.serial, "shell", line)


def show(phone: SimulatedPhone, server: AdbServer, pages: Pages, body: str) -> str:
    """Serve one page to the phone; its address there."""
    pages.files["/page"] = body
    server.adb("-s", phone.serial, "reverse", "tcp:8080", f"tcp:{pages.port}")
    return "http://localhost:8080/page"


@pytest.mark.parametrize("package", [CHROME, WEBVIEW_HOST])
def test_a_page_of_the_computer_is_isolated(
    phone: SimulatedPhone, adb_server: AdbServer, pages: Pages, package: str
) -> None:
    url = show(phone, adb_server, pages, "<title>here</title>")
    with open_app(phone, adb_server, package) as driver:
        driver.get(url)
        assert driver.title == "here"
        isolated, shared, origin, agent = driver.execute_script(ISOLATED)
        assert (isolated, shared, origin) == (True, "function", "http://localhost:8080")
        assert ("; wv)" in agent) == (package == WEBVIEW_HOST)
        assert "Android 10" in agent
        assert phone.state()["foreground"] == package
        owner = CHROME if package == CHROME else "com.google.android.webview"
        renderers = f"{owner}:sandboxed_process0:org.chromium.content.app.SandboxedProcessService0:"
        assert renderers in ask(adb_server, phone, "ps -A -o NAME")
        assert f"[{renderers}" in ask(adb_server, phone, f"dumpsys meminfo -s --package {owner}")
        ask(adb_server, phone, f"am force-stop {package}")
    assert package not in phone.state()["running"]
    assert pages.asked[0] == "/page"


def test_the_app_in_front_shows_the_intents_page(phone: SimulatedPhone, adb_server: AdbServer, pages: Pages) -> None:
    url = show(phone, adb_server, pages, "<body style='background: #f00; margin: 0'>")
    ask(adb_server, phone, f"am start -W -n {WEBVIEW_HOST}/.MainActivity -d {url}")
    wait_until(lambda: "/page" in pages.asked)
    blank = picture(phone, adb_server)
    assert struct.unpack(">II", blank[16:24]) == (720, 1600)
    pages.asked.clear()
    ask(adb_server, phone, f"am start -W -n {WEBVIEW_HOST}/.MainActivity -d {url}?again")
    wait_until(lambda: "/page?again" in pages.asked)


def picture(phone: SimulatedPhone, server: AdbServer) -> bytes:
    return subprocess.run(
        ["adb", "-s", phone.serial, "exec-out", "screencap", "-p"],
        env=server.environment,
        capture_output=True,
        check=True,
    ).stdout


def test_webgpu_is_there_only_with_its_flag(phone: SimulatedPhone, adb_server: AdbServer, pages: Pages) -> None:
    url = show(phone, adb_server, pages, "<title>gpu</title>")
    adapter = "const done = arguments[0]; navigator.gpu.requestAdapter().then((a) => done(a !== null))"
    answers = []
    for flags in ((), ("--enable-unsafe-webgpu",)):
        with open_app(phone, adb_server, flags=flags) as driver:
            driver.get(url)
            driver.set_script_timeout(60)
            answers.append(driver.execute_async_script(adapter))
    assert answers == [False, True]


def test_chromedriver_refuses_another_version(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    phone.install_chrome("113.0.5672.76")
    assert "versionName=113.0.5672.76" in ask(adb_server, phone, f"dumpsys package {CHROME}")
    with pytest.raises(WebDriverException, match="only supports Chrome version"), open_app(phone, adb_server):
        pass


def test_chromedriver_refuses_a_phone_without_chrome(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    phone.remove_chrome()
    with pytest.raises(WebDriverException, match="is not installed"), open_app(phone, adb_server):
        pass


def test_an_app_needs_a_webview(adb_server: AdbServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("bare") / "phone"
    with SimulatedPhone(directory, chrome=None, webview=False, host_app_installed=True) as phone:
        phone.connect(adb_server)
        assert "Current WebView package is null" in ask(adb_server, phone, "dumpsys webviewupdate")
        ask(adb_server, phone, f"am start -W -n {WEBVIEW_HOST}/.MainActivity")
        assert "MissingWebViewPackageException" in ask(adb_server, phone, "logcat -d -b crash")


def test_lmkd_kills_the_page_and_says_so(phone: SimulatedPhone, adb_server: AdbServer, pages: Pages) -> None:
    with pytest.raises(PhoneError, match="No app is running"):
        phone.lmkd_kill()
    url = show(phone, adb_server, pages, "<title>here</title>")
    with open_app(phone, adb_server) as driver:
        driver.get(url)
        killed = phone.lmkd_kill()
        with pytest.raises(WebDriverException, match="tab crashed"):
            driver.execute_script("return 1")
    said = LMKD.search(ask(adb_server, phone, "logcat -d"))
    assert said is not None
    assert said[1] == killed
    assert f"Process {killed} (pid {said[2]}) has died" in ask(adb_server, phone, "logcat -d -s ActivityManager")


def test_a_page_that_takes_all_memory_is_killed(phone: SimulatedPhone, adb_server: AdbServer, pages: Pages) -> None:
    """The limit is the kernel's: nothing but the page's own allocations makes lmkd act."""
    url = show(phone, adb_server, pages, HUNGRY)
    with open_app(phone, adb_server) as driver:
        driver.get(url)
        driver.execute_script("eat()")
        log = wait_until(lambda: LMKD.search(ask(adb_server, phone, "logcat -d")), 120, "lmkd's line")
        assert 1_200_000 < int(log[4]) < 2_097_152
        with pytest.raises(WebDriverException, match="tab crashed"):
            driver.execute_script("return 1")
        assert CHROME in phone.state()["running"]


def test_a_killed_browser_is_gone_with_its_socket(phone: SimulatedPhone, adb_server: AdbServer) -> None:
    with open_app(phone, adb_server) as driver:
        assert "@chrome_devtools_remote" in ask(adb_server, phone, "cat /proc/net/unix")
        phone.kill_browser()
        with pytest.raises(WebDriverException):
            driver.execute_script("return 1")
    assert "@chrome_devtools_remote" not in ask(adb_server, phone, "cat /proc/net/unix")
    assert f"Process {CHROME} (pid " in ask(adb_server, phone, "logcat -d -s ActivityManager")
    assert phone.state()["foreground"] != CHROME
