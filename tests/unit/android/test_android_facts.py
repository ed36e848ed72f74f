"""Facts from the answers of phones, in the formats of the Android Open Source Project."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.devices.android_facts import PACKAGES, device_id, facts_from_answers
from agents.faults import DeviceUnreachableError
from orchestrator.contract.device import Browser, DeviceRegistration
from orchestrator.contract.vocabulary import DeviceKind

_PHONE = {
    "ro.product.manufacturer": "samsung",
    "ro.product.model": "SM-A037G",
    "ro.build.version.release": "13",
    "ro.build.version.sdk": "33",
    "ro.product.cpu.abi": "armeabi-v7a",
    "ro.board.platform": "mt6765",
    "ro.build.characteristics": "phone",
    "ro.serialno": "R58M12ABCDE",
    "sys.boot_completed": "1",
}
_CPUINFO = "processor\t: 0\nBogoMIPS\t: 26.00\n\nprocessor\t: 1\nBogoMIPS\t: 26.00\n\nHardware\t: MT6765V/CB\n"
_ANSWERS = {
    "memory": "MemTotal:        2857344 kB",
    "cpuinfo": _CPUINFO,
    "cpus": "0-7",
    "graphics": "GLES: Imagination Technologies, PowerVR Rogue GE8320, OpenGL ES 3.2 build 1.13@5776728",
    "webview": "  Current WebView package (name, version): (com.google.android.webview, 138.0.7204.179)",
    "enabled": "package:com.android.chrome\npackage:com.chrome.beta",
    **dict.fromkeys(PACKAGES, ""),
    "com.android.chrome": "    versionName=137.0.7151.115",
}


def _answers(properties: dict[str, str] | None = None, **changed: str) -> dict[str, str]:
    listed = "\n".join(f"[{name}]: [{value}]" for name, value in {**_PHONE, **(properties or {})}.items())
    return {"properties": listed, **_ANSWERS, **{name.replace("__", "."): text for name, text in changed.items()}}


def test_a_phone_is_described() -> None:
    found = facts_from_answers("192.168.1.23:5555", _answers())
    facts = found.facts
    assert (found.serialno, found.kind, found.model) == ("R58M12ABCDE", DeviceKind.PHYSICAL, "samsung SM-A037G")
    assert found.device_class == "phone 3 GiB"
    assert (facts.os, facts.os_version, facts.os_api_level, facts.arch) == ("android", "13", 33, "armeabi-v7a")
    assert (facts.cpu_model, facts.cpu_count, facts.ram_bytes) == ("MT6765V/CB", 8, 2857344 * 1024)
    assert facts.gpus[0].name == "Imagination Technologies PowerVR Rogue GE8320"
    assert facts.gpus[0].driver == "OpenGL ES 3.2 build 1.13@5776728"
    assert facts.browsers == [
        Browser(name="chrome", version="137.0.7151.115"),
        Browser(name="webview", version="138.0.7204.179"),
    ]
    assert found.packages == {"chrome": "com.android.chrome", "webview": "com.google.android.webview"}
    assert found.notices == []


@pytest.mark.parametrize("flag", ["ro.kernel.qemu", "ro.boot.qemu"])
def test_an_emulated_phone_says_so_everywhere(flag: str) -> None:
    found = facts_from_answers("emulator-5554", _answers({flag: "1"}))
    assert found.kind is DeviceKind.EMULATED
    assert found.model.startswith("emulated ")
    assert found.device_class.startswith("emulated ")


def test_a_tablet_and_a_chip_by_its_own_name() -> None:
    properties = {
        "ro.build.characteristics": "tablet",
        "ro.soc.manufacturer": "QTI",
        "ro.soc.model": "SM8550",
        "ro.product.manufacturer": "Google",
        "ro.product.model": "Google Tablet",
    }
    found = facts_from_answers("a", _answers(properties, cpus="0-3,6-7"))
    assert (found.device_class, found.facts.cpu_model, found.facts.cpu_count) == ("tablet 3 GiB", "QTI SM8550", 6)
    assert found.model == "Google Tablet"


def test_several_channels_are_several_browsers() -> None:
    found = facts_from_answers("a", _answers(com__chrome__beta="    versionName=138.0.7204.5"))
    assert [browser.id for browser in found.facts.browsers] == ["chrome", "chrome-beta", "webview"]


def test_a_phone_without_chrome_keeps_its_webview() -> None:
    found = facts_from_answers("a", _answers(com__android__chrome="", enabled=""))
    assert [browser.id for browser in found.facts.browsers] == ["webview"]
    assert found.notices == []


def test_a_phone_without_a_browser_says_what_to_install() -> None:
    found = facts_from_answers(
        "a", _answers(com__android__chrome="", enabled="", webview="  Current WebView package is null")
    )
    assert found.facts.browsers == []
    assert "install or update Chrome" in found.notices[0]


def test_an_old_chrome_is_left_out_with_a_sentence() -> None:
    found = facts_from_answers("a", _answers(com__android__chrome="    versionName=119.0.6045.66"))
    assert [browser.id for browser in found.facts.browsers] == ["webview"]
    assert "chrome 119 is left out" in found.notices[0]
    assert "update com.android.chrome" in found.notices[0]


def test_a_disabled_chrome_is_left_out_with_a_sentence() -> None:
    found = facts_from_answers("a", _answers(enabled=""))
    assert [browser.id for browser in found.facts.browsers] == ["webview"]
    assert "com.android.chrome is disabled" in found.notices[0]


def test_a_starting_phone_is_not_ready() -> None:
    with pytest.raises(DeviceUnreachableError, match="still starting"):
        facts_from_answers("a", _answers({"sys.boot_completed": ""}))


def test_a_phone_that_tells_little_is_still_a_device() -> None:
    silent = dict.fromkeys(_ANSWERS, "") | {"properties": "[sys.boot_completed]: [1]"}
    found = facts_from_answers("192.168.1.23:5555", silent)
    assert (found.serialno, found.model, found.facts.cpu_model) == ("192.168.1.23:5555", "Android phone", "unknown CPU")
    assert (found.facts.cpu_count, found.facts.gpus, found.facts.browsers) == (1, [], [])


@settings(deadline=None)
@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_two_serial_numbers_never_give_one_id(one: str, other: str) -> None:
    assert (device_id(one) == device_id(other)) == (one == other)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=200))
def test_every_serial_number_gives_an_id(serialno: str) -> None:
    facts = facts_from_answers("a", _answers()).facts
    identifier = device_id(serialno)
    DeviceRegistration(id=identifier, name="n", kind=DeviceKind.PHYSICAL, model="m", device_class="c", facts=facts)
    assert identifier.startswith("android.")


def test_upper_and_lower_case_are_different_phones() -> None:
    assert device_id("r58m12abcde") == "android.r58m12abcde"
    assert device_id("R58M12ABCDE").startswith("android.r58m12abcde-")
