"""An agent as a lab host runs it, with nothing but the phones of one adb server."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.phone.adb import AdbServer
from tests.phone_bench import APPIUM_HOME

_END_SECONDS = 60.0


class PhoneAgent:
    """Runs from its creation to `stop`."""

    def __init__(self, coordinator_url: str, server: AdbServer, data: Path) -> None:
        settings = {"COORDINATOR": coordinator_url, "DATA": str(data), "APPIUM": str(APPIUM_HOME)}
        environment = server.environment | {f"FITMATRIX_AGENT_{name}": value for name, value in settings.items()}
        self.log = data.with_suffix(".log")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agents.cli", "run"], env=environment, stderr=log, start_new_session=True
            )

    def stop(self) -> int:
        """Its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(_END_SECONDS)
