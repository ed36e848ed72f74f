"""`fitmatrix devices reserve|release|drain|undrain|classes` and `fitmatrix why` against canned answers."""

import json
from typing import Any

import pytest

from orchestrator.contract.custody import DeviceClassView
from orchestrator.contract.views import Drain, Problem, Reservation
from orchestrator.contract.vocabulary import DeviceState, RunState
from tests.unit.cli import samples
from tests.unit.cli.conftest import FakeCoordinator, fitmatrix


def reserved(**changes: Any) -> Any:
    reservation = Reservation(by="ann", until=samples.LATER, note="a crash")
    reason = "ann has it until 2026-11-21 21:31 UTC (a crash)."
    values: dict[str, Any] = {"state": DeviceState.RESERVED, "reason": reason, "attempt": None}
    return samples.device(**(values | {"reservation": reservation} | changes))


@pytest.mark.parametrize(
    ("given", "seconds"), [("2h", 7_200), ("90min", 5_400), ("1d 12h", 129_600), ("1.5h", 5_400), ("300s", 300)]
)
def test_reserving_sends_how_long_and_why(coordinator: FakeCoordinator, given: str, seconds: int) -> None:
    coordinator.answer("PUT /api/v1/devices/this-machine/reservation", reserved())
    command = ("devices", "reserve", "this-machine", "--for", given, "--note", "a crash")
    text = " ".join(fitmatrix(*command, server=coordinator.url).stdout.split())
    ((_, _, _, body),) = coordinator.requests
    assert body == {"seconds": seconds, "note": "a crash"}
    assert "◆ reserved" in text
    assert "ann has it until" in text


@pytest.mark.parametrize("given", ["soon", "2 fortnights", "h", "-2h", ""])
def test_a_time_that_is_none_is_bad_input(coordinator: FakeCoordinator, given: str) -> None:
    result = fitmatrix("devices", "reserve", "this-machine", "--for", given, server=coordinator.url)
    assert result.exit_code == 2
    assert "write it like 90min, 12h" in " ".join(result.output.replace("│", " ").split())
    assert coordinator.requests == []


def test_a_device_that_somebody_has_is_refused_with_who_and_until_when(coordinator: FakeCoordinator) -> None:
    problem = Problem(title="Conflict", status=409, detail="ann has this-machine until 2026-11-21 21:31 UTC (a crash)")
    coordinator.answer("PUT /api/v1/devices/this-machine/reservation", problem, status=409)
    result = fitmatrix("devices", "reserve", "this-machine", "--for", "2h", server=coordinator.url)
    assert result.exit_code == 2
    assert "ann has this-machine until 2026-11-21 21:31 UTC (a crash)" in result.output


@pytest.mark.parametrize(
    ("command", "request_line", "body"),
    [
        (("release", "this-machine"), "DELETE /api/v1/devices/this-machine/reservation", None),
        (("drain", "this-machine", "--note", "new battery"), "PUT /api/v1/devices/this-machine/drain", "new battery"),
        (("undrain", "this-machine"), "DELETE /api/v1/devices/this-machine/drain", None),
    ],
)
def test_what_is_done_is_shown(
    coordinator: FakeCoordinator, command: tuple[str, ...], request_line: str, body: str | None
) -> None:
    coordinator.answer(request_line, samples.device(state=DeviceState.IDLE, attempt=None))
    result = fitmatrix("devices", *command, "--format", "json", server=coordinator.url)
    assert json.loads(result.stdout)["state"] == "idle"
    ((method, path, _, sent),) = coordinator.requests
    assert f"{method} {path}" == request_line
    assert sent == (body and {"note": body})


def test_devices_show_who_has_them_and_that_they_are_out_of_service(coordinator: FakeCoordinator) -> None:
    drained = samples.device(
        registration=samples.registration(id="lab.old"),
        state=DeviceState.DRAINED,
        reason="bob has taken it out of service (new battery), until `fitmatrix devices undrain lab.old`.",
        drain=Drain(by="bob", since=samples.NOW, note="new battery"),
        attempt=None,
    )
    left_alone = samples.device(
        registration=samples.registration(id="lab.new"),
        state=DeviceState.MAINTENANCE,
        reason="The lab leaves it alone until 2026-11-22 05:00 UTC: updates.",
        attempt=None,
    )
    busy = reserved(registration=samples.registration(id="lab.busy"), state=DeviceState.BUSY, reason="")
    coordinator.answer("GET /api/v1/devices", [reserved(), drained, left_alone, busy])
    text = " ".join(fitmatrix("devices", server=coordinator.url).stdout.split())
    for words in ("◆ reserved", "– drained", "◷ maintenance", "● busy", "reserved by ann", "bob has taken"):
        assert words in text, words


def test_a_device_is_shown_with_its_reservation_classes_and_pools(coordinator: FakeCoordinator) -> None:
    device = reserved(classes=["flagship phone"], pools=["phones", "hub 2"])
    coordinator.answer("GET /api/v1/devices/this-machine", device)
    text = fitmatrix("devices", "show", "this-machine", server=coordinator.url).stdout
    for words in ("by ann until 2026-11-21 21:31 UTC: a crash", "flagship phone", "phones, hub 2"):
        assert words in text, words


def test_classes(coordinator: FakeCoordinator) -> None:
    low_end = DeviceClassView(
        name="low-end phone", description="Up to 4 GB.", selector='os == "android"', devices=["lab.moto", "lab.nokia"]
    )
    empty = DeviceClassView(name="flagship phone", description="", selector="ram_gib > 8", devices=[])
    coordinator.answer("GET /api/v1/device-classes", [low_end, empty])
    text = fitmatrix("devices", "classes", server=coordinator.url).stdout
    for words in ("low-end phone", "lab.moto", "lab.nokia", "Up to 4 GB.", 'os == "android"', "none"):
        assert words in text, words
    coordinator.answer("GET /api/v1/device-classes", [])
    assert "--lab" in fitmatrix("devices", "classes", server=coordinator.url).stdout


def test_why_says_everything_that_a_run_waits_for(coordinator: FakeCoordinator) -> None:
    coordinator.answer("GET /api/v1/runs/run-1/why", samples.explanation())
    assert fitmatrix("why", "run-1", server=coordinator.url).stdout.splitlines() == [
        "run-1 is queued.",
        "• reserved: lab.pixel: ann has it until 2026-01-02 05:00 UTC.",
        "• behind-others: 2 runs for its device come first: 2 of higher priority.",
    ]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (RunState.RUNNING, "waits for nothing: it is running"),
        (RunState.FINISHED, "waits for nothing: it is finished. `fitmatrix run run-1` says how it went."),
        (RunState.CANCELLED, "waits for nothing: it is cancelled"),
    ],
)
def test_what_has_begun_waits_for_nothing(coordinator: FakeCoordinator, state: RunState, words: str) -> None:
    coordinator.answer("GET /api/v1/runs/run-1/why", samples.explanation(state=state, reasons=[], runs_ahead=0))
    assert words in fitmatrix("why", "run-1", server=coordinator.url).stdout
