"""An Appium server for tests, on a free port, with its own view of adb."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

from tests.phone.adb import AdbServer
from tests.ports import free_port

VARIABLE = "FITMATRIX_TEST_APPIUM"
_ROOT = Path(__file__).parent.parent.parent
_START_SECONDS = 90.0
_LOOK_SECONDS = 0.1
_TOOLS = ("aapt", "aapt2", "zipalign", "apksigner")


class AppiumMissingError(Exception):
    """Appium is not installed where tests look for it."""


def appium_home() -> Path:
    """Where Appium and its driver are installed. Raises AppiumMissingError."""
    home = Path(os.environ.get(VARIABLE, _ROOT / ".cache/appium")).resolve()
    if not (home / "node_modules/appium/index.js").is_file():
        raise AppiumMissingError(
            f"There is no Appium in {home}: run deploy/setup/android.sh, or set {VARIABLE} to a directory with one."
        )
    return home


class AppiumServer:
    """Runs from `with` to its end."""

    def __init__(self, server: AdbServer) -> None:
        self._home = appium_home()
        self._adb = server
        self._scratch = Path(tempfile.mkdtemp(prefix="fm-appium-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self._scratch / "appium.log").read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> "AppiumServer":
        environment = {
            **self._adb.environment,
            "ANDROID_HOME": str(self._make_sdk()),
            "APPIUM_HOME": str(self._home),
            "APPIUM_SKIP_CHROMEDRIVER_INSTALL": "1",
            "JAVA_HOME": _java_home(),
            "TMPDIR": str(self._scratch),
        }
        environment.pop("ANDROID_SDK_ROOT", None)
        program = [_node(), str(self._home / "node_modules/appium/index.js"), "server"]
        options = ["--address", "127.0.0.1", "--port", str(self.port), "--log-no-colors"]
        with (self._scratch / "appium.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*program, *options],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self.log
                self.__exit__()
                raise RuntimeError(f"Appium did not start: {said[-2000:]}")
            time.sleep(_LOOK_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _ready(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"{self.url}/status", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def _make_sdk(self) -> Path:
        """The Android SDK's layout, of links to Debian's programs."""
        sdk = self._scratch / "sdk"
        tools = sdk / "build-tools/31.0.0"
        (sdk / "platform-tools").mkdir(parents=True)
        (tools / "lib").mkdir(parents=True)
        _link(sdk / "platform-tools/adb", "adb")
        for name in _TOOLS:
            _link(tools / name, name)
        jar = Path("/usr/share/java/apksigner.jar")
        if jar.exists():
            (tools / "lib/apksigner.jar").symlink_to(jar)
        return sdk


def _link(link: Path, program: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise AppiumMissingError(f"{program} is missing: run deploy/setup/android.sh.")
    link.symlink_to(found)


def _node() -> str:
    """The system's Node.js, or the virtual environment's."""
    own = _ROOT / ".venv/bin/node"
    found = shutil.which("node") or (str(own) if own.exists() else None)
    if found is None:
        raise AppiumMissingError("Node.js is missing: run deploy/setup/android.sh.")
    return found


def _java_home() -> str:
    found = shutil.which("java")
    if found is None:
        raise AppiumMissingError("Java is missing: run deploy/setup/android.sh.")
    return str(Path(found).resolve().parent.parent)
