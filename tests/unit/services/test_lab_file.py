"""The lab file: what is wrong names file, line, field and column; a changed file is in force at once."""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.contract.device import DeviceRegistration, Emulation, Gpu
from orchestrator.domain.lab_plan import LabPlan
from orchestrator.lab_file import LabFile, LabFileError, read_lab_file
from tests.unit.domain.builders import GIB, device, device_record

EXAMPLE = Path(__file__).parents[3] / "deploy/lab.example.yaml"


def written(folder: Path, text: str) -> Path:
    path = folder / "lab.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def with_memory(registration: DeviceRegistration, gib: float) -> DeviceRegistration:
    facts = registration.facts.model_copy(update={"ram_bytes": int(gib * GIB)})
    return registration.model_copy(update={"facts": facts})


RADEON = [Gpu(name="AMD Radeon 680M", memory_bytes=GIB // 2)]
RTX = [Gpu(name="Intel UHD Graphics 770"), Gpu(name="NVIDIA GeForce RTX 4070", memory_bytes=12 * GIB)]


@pytest.mark.parametrize(
    ("registration", "classes"),
    [
        (with_memory(device(os="android"), 2.8), ("low-end phone",)),
        (with_memory(device(os="android"), 3.7), ("low-end phone",)),
        (with_memory(device(os="android"), 5.6), ("mid-range phone",)),
        (with_memory(device(os="android"), 7.4), ("mid-range phone",)),
        (with_memory(device(os="android"), 11.2), ("flagship phone",)),
        (device(gpus=RADEON), ("integrated-GPU laptop",)),
        (device(gpus=[Gpu(name="NVIDIA GeForce GTX 1650")]), ("discrete-GPU desktop",)),
        (device(gpus=RTX), ("discrete-GPU desktop",)),
        (device(), ()),
        (device(emulation=Emulation(memory_bytes=GIB)), ()),
    ],
)
def test_the_example_has_a_tier_for_each_kind_of_device(
    registration: DeviceRegistration, classes: tuple[str, ...]
) -> None:
    assert read_lab_file(EXAMPLE).classes_of(device_record(registration)) == classes


def test_the_example_has_pools_and_windows() -> None:
    plan = read_lab_file(EXAMPLE)
    phone = device_record(device(os="android"))
    assert [(pool.name, pool.limit) for pool in plan.pools_of(phone)] == [("phones", 8)]
    night = datetime(2026, 11, 22, 3, 30, tzinfo=UTC)
    found = plan.maintenance(phone, night)
    assert found is not None
    assert (found[0].name, found[1]) == ("system updates", datetime(2026, 11, 22, 4, 0, tzinfo=UTC))
    assert plan.maintenance(phone, datetime(2026, 11, 23, 3, 30, tzinfo=UTC)) is None


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "classes: []\n"])
def test_a_lab_may_have_decided_nothing(tmp_path: Path, text: str) -> None:
    assert read_lab_file(written(tmp_path, text)) == LabPlan()


WINDOW = "maintenance:\n  - name: w\n    timezone: UTC\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("classes: [{name: a, selector: 'os =='}]", ["line 1, classes[0].selector: column 6: "]),
        (
            "classes:\n  - name: a\n    selector: os == 'linux' && vendr == 'arm'\n",
            ["lab.yaml, line 3, classes[0].selector: column 18: there is no vendr"],
        ),
        (
            "pools:\n  - name: a\n    limit: 2\n    selector: os < 4\n",
            ["line 4, pools[0].selector: column 4: "],
        ),
        (
            "classes: [{name: phone, selector: 'true'}]\npools:\n"
            "  - {name: a, limit: 1, selector: \"'phones' in classes\"}\n",
            ["line 3, pools[0].selector: column 1: there is no device class phones; the lab file has phone; did you"],
        ),
        (
            "classes:\n  - {name: a, selector: \"'b' in classes\"}\n",
            ["classes[0].selector: column 8: there is no classes"],
        ),
        (
            "classes:\n  - {name: a, selector: 'true'}\n  - {name: a, selector: 'nope'}\n",
            ["line 3, classes[1].name: a is there twice", "line 3, classes[1].selector: column 1: there is no nope"],
        ),
        (
            "pools:\n  - {name: a, selector: 'true', limit: 0}",
            ["line 2, pools[0].limit: ", "greater than or equal to 1"],
        ),
        ("pools:\n  - {name: a, selector: 'true'}", ["line 2, pools[0].limit: Field required"]),
        ("klasses: []", ["line 1, klasses: there is no such field"]),
        ("classes: 7", ["line 1, classes: "]),
        ("just words", ["line 1, the file: "]),
        ("classes: [{name: 'a;b', selector: 'true'}]", ["classes[0].name: "]),
        ("classes: []\nclasses: []\n", ["line 2, column 1: each key is a word, and is there once"]),
        ("a: &x [1]\nb: *x\n", ["aliases are not read"]),
        ("a: &x [*x]\n", ["not read"]),
        ("classes: [", ["lab.yaml, line 1"]),
        (WINDOW, ["line 2, maintenance[0]: it would never end"]),
        (WINDOW + "    first_day: 2026-01-01\n", ["it would never end"]),
        (WINDOW + "    from: 22:00\n", ["`from` and `until` belong together"]),
        (WINDOW + "    from: 22:00\n    until: 22:00\n", ["two different times"]),
        (WINDOW + "    from: 22:00\n    until: 25:00\n", ["line 5, maintenance[0].until: "]),
        (WINDOW + "    days: [sunday]\n", ["line 4, maintenance[0].days[0]: ", "'sun'"]),
        (WINDOW + "    first_day: 2026-02-30\n", ["line 4, maintenance[0].first_day: "]),
        (WINDOW + "    first_day: 2026-03-02\n    last_day: 2026-03-01\n", ["`last_day` is not before"]),
        (
            WINDOW.replace("UTC", "Mars/Olympus"),
            ["line 3, maintenance[0].timezone: there is no time zone Mars/Olympus"],
        ),
        (WINDOW.replace("UTC", "../../etc/passwd"), ["there is no time zone"]),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, said: list[str]) -> None:
    with pytest.raises(LabFileError) as caught:
        read_lab_file(written(tmp_path, text))
    for words in said:
        assert words in str(caught.value), caught.value


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_bytes(b"classes: \xff\xfe")
    with pytest.raises(LabFileError, match="not UTF-8"):
        read_lab_file(path)
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(LabFileError, match="larger than"):
        read_lab_file(path)
    with pytest.raises(LabFileError, match="cannot be read"):
        read_lab_file(tmp_path / "none.yaml")


def classes(plan: LabPlan) -> list[str]:
    return [one.name for one in plan.classes]


def test_a_changed_file_is_in_force_and_a_broken_one_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    path = written(tmp_path, "classes: [{name: first, selector: 'true'}]")
    current = LabFile(path)
    kept = current()
    assert classes(kept) == ["first"]
    assert current() is kept

    written(tmp_path, "classes: [{name: second one, selector: 'true'}]")
    assert classes(current()) == ["second one"]

    written(tmp_path, "classes: [{name: third, selector: 'nope'}]")
    assert classes(current()) == ["second one"]
    assert classes(current()) == ["second one"]
    (refused,) = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert "classes[0].selector: column 1: there is no nope" in refused

    path.unlink()
    assert classes(current()) == ["second one"]

    newer = tmp_path / "newer.yaml"
    newer.write_text("classes: [{name: fourth, selector: 'true'}]")
    os.replace(newer, path)  # noqa: PTH105 - as editors do it
    assert classes(current()) == ["fourth"]


def test_a_first_version_that_is_broken_is_no_plan(tmp_path: Path) -> None:
    with pytest.raises(LabFileError):
        LabFile(written(tmp_path, "classes: 7"))
