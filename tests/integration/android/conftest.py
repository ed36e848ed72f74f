"""A simulated phone on a private adb server, and the agent's view of it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.devices.adb import Adb, AdbSettings
from agents.devices.android import AndroidDevice, open_android
from agents.devices.journal import Journal
from tests.phone.adb import AdbServer
from tests.phone.simulated import SimulatedPhone

Opener = Callable[[], AndroidDevice]


@pytest.fixture(scope="session")
def server() -> Iterator[AdbServer]:
    with AdbServer() as server:
        yield server


@pytest.fixture(scope="session")
def settings(server: AdbServer) -> AdbSettings:
    return AdbSettings(Path("adb"), server.port)


@pytest.fixture
def phone(server: AdbServer, tmp_path: Path) -> Iterator[SimulatedPhone]:
    """Plugged in."""
    with SimulatedPhone(tmp_path / "phone") as phone:
        phone.connect(server)
        yield phone
        phone.disconnect(server)


@pytest.fixture
def adb(phone: SimulatedPhone, settings: AdbSettings) -> Adb:
    return Adb(phone.serial, settings)


@pytest.fixture
def opened(phone: SimulatedPhone, settings: AdbSettings, tmp_path: Path) -> Opener:
    """Opens the phone as a new process would."""

    def open_it() -> AndroidDevice:
        return open_android(phone.serial, settings, data=tmp_path / "data", appium_home=tmp_path / "appium")

    return open_it


@pytest.fixture
def device(opened: Opener) -> AndroidDevice:
    return opened()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.json")
