"""What the README has its readers type beside a phone, typed beside a simulated one; see typed.py."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.docs.reader import Reader
from tests.integration.docs.typed import PHONE
from tests.phone.adb import AdbServer
from tests.phone.requirements import missing_for_phones
from tests.phone.simulated import SimulatedPhone


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """With a phone on the cable of this host."""
    missing = missing_for_phones()
    if missing is not None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    with AdbServer() as server, SimulatedPhone(tmp_path / "phone") as phone:
        phone.connect(server)
        names = ("ANDROID_ADB_SERVER_PORT", "ANDROID_USER_HOME", "HOME", "ADB_MDNS_OPENSCREEN")
        settings = {name: server.environment[name] for name in names}
        settings["FITMATRIX_AGENT_DATA"] = str(tmp_path / "agent")
        yield Reader(tmp_path / "reader", settings, {"SERIAL": phone.serial, "FOLDER": "recorded"})
        phone.disconnect(server)


def test_a_phone_is_prepared_released_and_recorded(reader: Reader) -> None:
    for line, said in PHONE["README.md"].items():
        reader.does(line, said)
    assert json.loads((reader.directory / "recorded/recording.json").read_text())
