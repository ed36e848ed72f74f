"""The devices file and what becomes of it."""

from pathlib import Path

import pytest

from agents.browsers.chrome import ChromeDriver
from agents.browsers.discovery import ChromeInstallation
from agents.devices import declared
from agents.devices.android_health import Gates
from agents.devices.cgroup_v1 import V1LimitDriver
from agents.devices.declared import DevicesFileError, discover_devices, read_devices_file
from agents.devices.limits import LimitDriver
from orchestrator.contract.device import Browser
from orchestrator.contract.vocabulary import DeviceKind, ThermalStatus

FILE = """
devices:
  - name: this machine
    chrome_flags: ["--enable-unsafe-webgpu"]
  - name: low-end, 512 MiB
    emulated: {memory_mib: 512, cpu_quota: 0.5, webgpu: false}
  - name: slow
    device_class: slow laptop
    emulated: {cpu_quota: 1}
  - name: no GPU
    emulated: {webgpu: false}
"""


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture(autouse=True)
def installation(monkeypatch: pytest.MonkeyPatch) -> ChromeInstallation:
    found = ChromeInstallation(
        Path("/opt/chrome"), Path("/opt/chromedriver"), Browser(name="chrome", version="150.0.1.2")
    )
    monkeypatch.setattr(declared, "find_browsers", lambda _chosen, *, notice: [found])
    monkeypatch.setattr(declared, "runs_as_root", lambda: False)
    return found


def use_limits(monkeypatch: pytest.MonkeyPatch, driver: LimitDriver | None) -> None:
    monkeypatch.setattr(declared, "find_limit_driver", lambda: driver)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "devices.yaml").write_text(FILE)
    return tmp_path / "devices.yaml"


def test_without_a_file_there_is_this_machine_as_its_users_run_it(notices: list[str]) -> None:
    (device,) = discover_devices(None, agent_id="lab-1", notice=notices.append)
    registration = device.registration
    assert (registration.id, registration.name) == ("lab-1.this-machine", "this machine")
    assert (registration.kind, registration.facts.chrome_flags) == (DeviceKind.PHYSICAL, [])
    assert registration.facts.emulation is None
    assert registration.facts.cpu_count >= 1
    assert registration.facts.ram_bytes > 2**28
    assert registration.exclusive_group == "lab-1"
    assert (device.limits, notices) == (None, [])


def test_declared_devices_share_the_host_and_are_marked_emulated(
    monkeypatch: pytest.MonkeyPatch, file: Path, notices: list[str], installation: ChromeInstallation
) -> None:
    driver = V1LimitDriver(Path("/m"), Path("/c"))
    use_limits(monkeypatch, driver)
    machine, low_end, slow, no_gpu = discover_devices(file, agent_id="Lab 1", notice=notices.append)

    assert {device.registration.exclusive_group for device in (machine, low_end, slow, no_gpu)} == {"lab-1"}
    assert machine.registration.facts.chrome_flags == ["--enable-unsafe-webgpu"]
    expected = ChromeDriver(installation, ("--enable-unsafe-webgpu",), headless=True)
    assert machine.browsers == {installation.browser.id: expected}

    assert low_end.registration.id == "lab-1.low-end-512-mib"
    assert low_end.registration.kind is DeviceKind.EMULATED
    assert low_end.registration.device_class == "emulated 512 MiB, 0.5 CPU, no WebGPU"
    assert low_end.registration.model.startswith("emulated 512 MiB, 0.5 CPU, no WebGPU on ")
    assert low_end.registration.facts.ram_bytes == 512 * 2**20
    assert low_end.registration.facts.emulation is not None
    assert low_end.registration.facts.emulation.memory_bytes == 512 * 2**20
    assert len(low_end.equipment) == 1
    group = low_end.limited_group("run-1.1")
    assert group is not None
    assert group.record.directories == [Path("/m/fitmatrix-run-1.1"), Path("/c/fitmatrix-run-1.1")]

    assert slow.registration.device_class == "slow laptop"
    assert slow.registration.facts.ram_bytes == machine.registration.facts.ram_bytes
    assert slow.equipment == []
    assert no_gpu.limited_group("run-1.1") is None
    assert notices == []


def test_lowered_webgpu_limits_are_facts_of_the_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, notices: list[str]
) -> None:
    use_limits(monkeypatch, None)
    file = tmp_path / "small.yaml"
    limits = "{maxBufferSize: 67108864, maxStorageBuffersPerShaderStage: 8}"
    file.write_text(f"devices: [{{name: small, emulated: {{webgpu_limits: {limits}}}}}]")
    (device,) = discover_devices(file, agent_id="lab", notice=notices.append)
    facts = device.registration.facts
    assert facts.emulation is not None
    assert facts.emulation.webgpu_limits == {"maxBufferSize": 67_108_864, "maxStorageBuffersPerShaderStage": 8}
    assert device.registration.kind is DeviceKind.EMULATED
    assert device.registration.device_class == "emulated maxBufferSize 64 MiB, maxStorageBuffersPerShaderStage 8"
    ((_, script),) = [command for one in device.equipment for command in one.commands if "source" in command[1]]
    assert '{"maxBufferSize": 67108864, "maxStorageBuffersPerShaderStage": 8}' in script["source"]
    assert (device.limits, notices) == (None, [])


def test_devices_that_cannot_be_emulated_here_are_left_out_with_one_notice(
    monkeypatch: pytest.MonkeyPatch, file: Path, notices: list[str]
) -> None:
    use_limits(monkeypatch, None)
    found = discover_devices(file, agent_id="lab", notice=notices.append)
    assert [device.registration.name for device in found] == ["this machine", "no GPU"]
    assert len(notices) == 1
    assert notices[0].startswith("Left out: low-end, 512 MiB; slow. Emulated devices need cgroups")


def test_running_as_root_is_said(monkeypatch: pytest.MonkeyPatch, notices: list[str]) -> None:
    monkeypatch.setattr(declared, "runs_as_root", lambda: True)
    discover_devices(None, agent_id="lab", notice=notices.append)
    assert notices == ["The agent runs as root, so Chrome runs without its sandbox (--no-sandbox)."]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("devices: [", "not YAML"),
        ("", "the file: Input should be"),
        ("devices: []", "devices: List should have at least 1 item"),
        ("phones: []", "phones: Input should be a valid dictionary"),
        ("phones: {gates: {battery_level: 30}}", "phones.gates.battery_level: Input should be less than or equal to 1"),
        ("phones: {gates: {moon: full}}", "phones.gates.moon: Extra inputs are not permitted"),
        ("phones: {chrome_flags: ['--headless=new']}", "phones.chrome_flags.0: Value error, the agent sets --headless"),
        ("tablets: {}", "tablets: Extra inputs are not permitted"),
        ("devices: [{name: 5}]", "devices.0.name: Input should be a valid string"),
        ("devices: [{name: a, flags: []}]", "devices.0.flags: Extra inputs"),
        ("devices: [{name: a}, {name: A}]", "two of them would be called a"),
        ("devices: [{name: a, chrome_flags: ['enable x']}]", "devices.0.chrome_flags.0: String should match"),
        (
            "devices: [{name: a, chrome_flags: ['--user-data-dir=/tmp']}]",
            "devices.0.chrome_flags.0: Value error, the agent sets --user-data-dir itself",
        ),
        (
            "devices: [{name: a, emulated: {webgpu_limits: {maxWarp: 9}}}]",
            "devices.0.emulated.webgpu_limits: Value error, maxWarp is no limit that can be lowered; those are maxText",
        ),
        (
            "devices: [{name: a, emulated: {webgpu_limits: {minUniformBufferOffsetAlignment: 9}}}]",
            "minUniformBufferOffsetAlignment is no limit that can be lowered",
        ),
        (
            "devices: [{name: a, emulated: {webgpu_limits: {maxBufferSize: 0}}}]",
            "maxBufferSize is 0; allowed is a positive whole number",
        ),
        (
            "devices: [{name: a, emulated: {webgpu_limits: {maxBufferSize: 1.5}}}]",
            "devices.0.emulated.webgpu_limits.maxBufferSize: Input should be a valid integer",
        ),
        (
            "devices: [{name: a, emulated: {webgpu_limits: {maxBindGroups: 3}}}]",
            "maxBindGroups is 3; every WebGPU adapter has at least 4",
        ),
        (
            "devices: [{name: a, emulated: {webgpu: false, webgpu_limits: {maxBufferSize: 4096}}}]",
            "webgpu_limits: there are none with webgpu: false",
        ),
        (
            "devices: [{name: a, emulated: {memory_mib: -5}}]",
            "devices.0.emulated.memory_mib: Input should be greater than or equal to 64",
        ),
        ("devices: [{name: a, emulated: {memory_mib: '512'}}]", "devices.0.emulated.memory_mib: Input should be"),
        ("devices: [{name: a, emulated: {cpu_quota: .nan}}]", "devices.0.emulated.cpu_quota: Input should be"),
        ("devices: [{name: a, emulated: {}}]", "set memory_mib, cpu_quota, webgpu_limits or webgpu: false"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_field(tmp_path: Path, content: str, complaint: str) -> None:
    file = tmp_path / "devices.yaml"
    file.write_text(content)
    with pytest.raises(DevicesFileError) as caught:
        read_devices_file(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert complaint in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DevicesFileError, match=r"nowhere\.yaml: cannot be read: No such file"):
        read_devices_file(tmp_path / "nowhere.yaml")


def test_a_name_without_letters_is_refused(tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text("devices: [{name: '???'}]")
    with pytest.raises(DevicesFileError, match="has no letter or digit"):
        read_devices_file(tmp_path / "devices.yaml")


def test_phones_have_flags_and_gates_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text(
        "phones: {chrome_flags: ['--enable-unsafe-webgpu'], gates: {battery_celsius: 35, thermal_status: light}}"
    )
    read = read_devices_file(tmp_path / "devices.yaml")
    assert [device.name for device in read.devices] == ["this machine"]
    assert read.phones.chrome_flags == ["--enable-unsafe-webgpu"]
    assert read.phones.gates == Gates(battery_celsius=35, thermal_status=ThermalStatus.LIGHT)
