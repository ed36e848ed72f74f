"""What systemd and udev are given."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path("deploy/systemd/fitmatrix-agent.service")
COORDINATOR_UNIT = Path("deploy/systemd/fitmatrix-coordinator.service")
RULES = Path("deploy/udev/51-fitmatrix-android.rules")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
@pytest.mark.parametrize("unit", [UNIT, COORDINATOR_UNIT], ids=lambda unit: unit.stem)
def test_systemd_understands_the_unit(unit: Path, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    # The program need not be installed here, nor the user be there.
    text = (pytestconfig.rootpath / unit).read_text()
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE)
    (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / unit.name)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert unit.name not in done.stderr, done.stderr


def test_the_unit_gives_the_agent_time_to_put_its_devices_in_order(pytestconfig: pytest.Config) -> None:
    from agents.supervisor import _STOP_SECONDS

    stop = re.search(r"^TimeoutStopSec=(\d+)$", (pytestconfig.rootpath / UNIT).read_text(), re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > _STOP_SECONDS


def test_every_vendor_leads_to_the_rule_for_phones(pytestconfig: pytest.Config) -> None:
    rules = [
        line for line in (pytestconfig.rootpath / RULES).read_text().splitlines() if line and not line.startswith("#")
    ]
    labels = set(re.findall(r'LABEL="(\w+)"', "\n".join(rules)))
    assert set(re.findall(r'GOTO="(\w+)"', "\n".join(rules))) == labels
    vendors = [line for line in rules if "idVendor" in line]
    assert vendors
    for line in vendors:
        assert re.fullmatch(r'ATTR\{idVendor\}=="[0-9a-f]{4}", GOTO="fitmatrix_phone"', line)
