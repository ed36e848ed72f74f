"""What a recording of a phone leaves out, and what it keeps."""

import pytest

from agents.recording import Redaction


@pytest.fixture
def redaction() -> Redaction:
    return Redaction(("R58M12ABCDE",), {})


@pytest.mark.parametrize(
    ("text", "left", "kind"),
    [
        ("by R58M12ABCDE.", "by REDACTED.", "serial number"),
        ("*sync*/com.google/anna@example.org'", "*sync*/com.google/REDACTED'", "e-mail address"),
        ("Account {name=Anna M, type=x}", "Account {name=REDACTED, type=x}", "account"),
        ('SSID: "Musters Wohnung", id', "SSID:REDACTED, id", "network name"),
        ("SSID=Wohnung, id", "SSID=REDACTED, id", "network name"),
        ("a4:c3:f0:85:ac:2d up", "REDACTED up", "hardware address"),
        ("A4-C3-F0-85-AC-2D up", "REDACTED up", "hardware address"),
        ("IMEI 356938035643809", "IMEI REDACTED", "telephone or SIM number"),
        ("call +49 171 2345678 now", "call REDACTED now", "telephone or SIM number"),
        ("tel:01712345678", "tel:REDACTED", "telephone or SIM number"),
        ("at 192.168.178.23/24", "at REDACTED/24", "address"),
    ],
)
def test_what_tells_whose_phone_it_is_is_taken_out_and_counted(
    redaction: Redaction, text: str, left: str, kind: str
) -> None:
    assert redaction.clean(text) == left
    assert redaction.found == {kind: 1}


@pytest.mark.parametrize(
    "text",
    [
        "  temperature: 301\n  Charge counter: 2490000",
        "(com.google.android.webview, 156.0.8078.79)",
        "GLES: Qualcomm, Adreno (TM) 740, OpenGL ES 3.2 V@0676.42",
        "/dev/block/dm-10 11534336 524288 11010048   5% /data",
        "1795237212.123456789",
        "firstInstallTime=2026-11-20 10:00:00",
    ],
)
def test_what_agents_read_stays(redaction: Redaction, text: str) -> None:
    assert redaction.clean(text) == text
    assert redaction.found == {}


def test_telling_properties_are_left_out_whole(redaction: Redaction) -> None:
    properties = {
        "ro.serialno": "R58M12ABCDE",
        "persist.radio.imei": "35",
        "ro.boot.wifimacaddr": "a4c3f085ac2d",
        "gsm.sim.operator.alpha": "A network",
        "net.hostname": "annas-phone",
        "persist.sys.device_name": "Anna's phone",
        "ro.product.model": "Nine",
        "ro.build.version.sdk": "34",
        "ro.soc.manufacturer": "Acme",
        "ro.build.characteristics": "tablet",
    }
    kept = redaction.clean_properties(properties)
    assert list(kept) == ["ro.product.model", "ro.build.version.sdk", "ro.soc.manufacturer", "ro.build.characteristics"]
