"""The spool: a report is there whole or not at all, in order, until it is acknowledged."""

import errno
import hashlib
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import agents.spool
from agents.coordinator import CoordinatorForgotError, CoordinatorRefusedError, CoordinatorUnavailableError
from agents.spool import Spool, SpoolError, SpoolSender
from orchestrator.contract.attempt import Artifact, AttemptReport, ReportReceipt
from orchestrator.contract.device import AttemptRef
from orchestrator.contract.vocabulary import Phase

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def report(
    run_id: str, number: int = 1, *, device: str = "d1", artifacts: dict[str, bytes] | None = None
) -> AttemptReport:
    return AttemptReport(
        run_id=run_id,
        number=number,
        device_id=device,
        started_at=NOW,
        finished_at=NOW,
        phase=Phase.COLLECT,
        artifacts=[
            Artifact(name=name, media_type="text/plain", sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
            for name, content in (artifacts or {}).items()
        ],
    )


class Coordinator:
    """Remembers what arrives, in order, and answers as it is told."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.blobs: dict[str, bytes] = {}
        self.errors: dict[str, Exception] = {}
        """By run."""

    def put_blob(self, sha256: str, source: Path) -> None:
        self.blobs[sha256] = source.read_bytes()
        self.arrived.append("blob")

    def put_report(self, report: AttemptReport) -> ReportReceipt:
        if report.run_id in self.errors:
            raise self.errors[report.run_id]
        self.arrived.append(f"{report.device_id}:{report.run_id}.{report.number}")
        return ReportReceipt(counted=True, received_at=NOW)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(root: Path) -> Spool:
    return Spool(root)


@pytest.fixture
def coordinator() -> Coordinator:
    return Coordinator()


@pytest.fixture
def unknown() -> list[str]:
    return []


@pytest.fixture
def sender(spool: Spool, coordinator: Coordinator, unknown: list[str]) -> SpoolSender:
    return SpoolSender(spool, coordinator, on_unknown=lambda: unknown.append("asked"))


def names(spool: Spool, device: str = "d1") -> list[str]:
    return [entry.report().run_id for entry in spool.pending(device)]


def test_reports_go_in_order_and_artifacts_go_first(
    spool: Spool, sender: SpoolSender, coordinator: Coordinator, tmp_path: Path
) -> None:
    console = tmp_path / "console.txt"
    console.write_bytes(b"said")
    for number in range(1, 13):
        spool.add(report("r", number), {})
    spool.add(report("last", artifacts={"console.txt": b"said"}), {"console.txt": console})
    console.unlink()
    assert sender.send_all()
    assert coordinator.arrived == [*(f"d1:r.{number}" for number in range(1, 13)), "blob", "d1:last.1"]
    assert list(coordinator.blobs.values()) == [b"said"]
    assert spool.devices() == []


def test_one_attempt_has_one_report(spool: Spool) -> None:
    spool.add(report("r"), {})
    spool.add(report("r"), {})
    spool.add(report("r", 2), {})
    assert [entry.report().number for entry in spool.pending("d1")] == [1, 2]


def test_an_unreachable_coordinator_keeps_reports_in_order(
    spool: Spool, sender: SpoolSender, coordinator: Coordinator
) -> None:
    coordinator.errors["a"] = CoordinatorUnavailableError("away")
    for run in ("a", "b"):
        spool.add(report(run), {})
    assert not sender.send_all()
    assert coordinator.arrived == []
    coordinator.errors.clear()
    assert sender.send_all()
    assert coordinator.arrived == ["d1:a.1", "d1:b.1"]


def test_a_stuck_device_holds_up_no_other(spool: Spool, sender: SpoolSender, coordinator: Coordinator) -> None:
    coordinator.errors["a"] = CoordinatorUnavailableError("in trouble")
    spool.add(report("a"), {})
    spool.add(report("b", device="d2"), {})
    assert not sender.send_all()
    assert coordinator.arrived == ["d2:b.1"]


def test_a_refused_report_is_set_aside_with_the_reason(
    spool: Spool, sender: SpoolSender, coordinator: Coordinator, root: Path
) -> None:
    coordinator.errors["a"] = CoordinatorRefusedError(422, "no such run")
    for run in ("a", "b"):
        spool.add(report(run), {})
    assert sender.send_all()
    assert coordinator.arrived == ["d1:b.1"]
    (rejected,) = (root / "rejected").iterdir()
    assert (rejected / "reason.txt").read_text() == "no such run\n"
    assert AttemptReport.model_validate_json((rejected / "report.json").read_bytes()).run_id == "a"
    assert spool.rejected() == 1


def test_a_forgotten_agent_keeps_its_reports_and_asks_to_enrol(
    spool: Spool, sender: SpoolSender, coordinator: Coordinator, unknown: list[str]
) -> None:
    coordinator.errors["a"] = CoordinatorForgotError("who are you")
    spool.add(report("a"), {})
    assert not sender.send_all()
    assert unknown == ["asked"]
    assert names(spool) == ["a"]


def test_a_writer_that_died_leaves_no_report(spool: Spool, sender: SpoolSender, root: Path) -> None:
    half = root / "unfinished" / "0123"
    half.mkdir(parents=True)
    (half / "report.json").write_text('{"run_id": "r"')
    assert spool.devices() == []
    assert sender.send_all()
    spool.clean()
    assert not half.exists()


def test_a_sender_that_died_after_the_acknowledgement_sends_again(
    spool: Spool, coordinator: Coordinator, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Died(BaseException):
        pass

    def die(_: object) -> None:
        raise Died

    spool.add(report("a"), {})
    with monkeypatch.context() as patch:
        patch.setattr(spool, "remove", die)
        with pytest.raises(Died):
            SpoolSender(spool, coordinator, on_unknown=lambda: None).send_all()
    assert SpoolSender(Spool(root), coordinator, on_unknown=lambda: None).send_all()
    assert coordinator.arrived == ["d1:a.1", "d1:a.1"]
    assert spool.devices() == []


def test_a_damaged_report_is_set_aside(spool: Spool, sender: SpoolSender, coordinator: Coordinator) -> None:
    for run in ("a", "b"):
        spool.add(report(run), {})
    (spool.pending("d1")[0].directory / "report.json").write_text("{")
    assert sender.send_all()
    assert coordinator.arrived == ["d1:b.1"]
    assert spool.rejected() == 1


def test_what_the_disk_does_not_take_leaves_nothing(spool: Spool, root: Path, tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="cannot keep the report of r"):
        spool.add(report("r", artifacts={"console.txt": b"said"}), {"console.txt": tmp_path / "missing"})
    assert spool.devices() == []
    assert not any((root / "unfinished").iterdir())


def test_the_next_report_names_its_attempt(spool: Spool) -> None:
    assert spool.awaited("d1") is None
    spool.add(report("run.with-dots-1", 3), {})
    spool.add(report("later"), {})
    assert spool.awaited("d1") == AttemptRef(run_id="run.with-dots-1", number=3)


def test_what_waits_is_counted(spool: Spool) -> None:
    assert spool.waiting() == 0
    for run, device in (("a", "d1"), ("b", "d1"), ("c", "d2")):
        spool.add(report(run, device=device), {})
    assert spool.waiting() == 3


def test_thousands_of_reports_keep_their_order(spool: Spool, sender: SpoolSender, coordinator: Coordinator) -> None:
    for number in range(1, 1_101):
        spool.add(report("r", number), {})
    assert spool.awaited("d1") == AttemptRef(run_id="r", number=1)
    assert sender.send_all()
    assert coordinator.arrived == [f"d1:r.{number}" for number in range(1, 1_101)]


def reject(spool: Spool, root: Path, run: str, age_days: float) -> Path:
    spool.add(report(run), {})
    aside = spool.reject(spool.pending("d1")[0], "no such run")
    at = time.time() - age_days * 86_400
    os.utime(aside, (at, at))
    return aside


def test_rejected_reports_are_kept_for_a_month(spool: Spool, root: Path) -> None:
    old, young = reject(spool, root, "old", 31), reject(spool, root, "young", 29)
    spool.clean()
    assert (old.exists(), young.exists()) == (False, True)
    assert spool.rejected() == 1


def test_the_last_two_hundred_rejected_reports_are_kept(spool: Spool, root: Path) -> None:
    asides = [reject(spool, root, f"r{number}", 1 - number / 1_000) for number in range(203)]
    spool.clean()
    assert [aside.exists() for aside in asides] == [False] * 3 + [True] * 200


def full_for(target: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Lets the named function of the spool find a full disk when it writes a file called `target`, or any other."""
    real = getattr(agents.spool, name)

    def write(*arguments: Any) -> None:
        if any(isinstance(one, Path) and target in one.name for one in arguments):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*arguments)

    monkeypatch.setattr(agents.spool, name, write)


def test_on_a_full_disk_the_report_is_worth_more_than_its_artifacts(
    spool: Spool, sender: SpoolSender, coordinator: Coordinator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = tmp_path / "console.txt"
    console.write_bytes(b"said")
    full_for("", monkeypatch, "_copy")
    spool.add(report("r", artifacts={"console.txt": b"said"}), {"console.txt": console})
    assert spool.pending("d1")[0].report().artifacts == []
    assert sender.send_all()
    assert coordinator.arrived == ["d1:r.1"]


def test_a_reason_that_the_disk_does_not_take_keeps_no_report_in_the_way(
    spool: Spool, sender: SpoolSender, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run in ("a", "b"):
        spool.add(report(run), {})
    coordinator.errors["a"] = CoordinatorRefusedError(422, "no such run")
    full_for("reason.txt", monkeypatch, "_write")
    assert sender.send_all()
    assert coordinator.arrived == ["d1:b.1"]
    assert spool.rejected() == 1


@pytest.mark.parametrize("trouble", [errno.EMFILE, errno.ENOMEM, errno.ENOSPC])
def test_trouble_of_the_host_rejects_no_report(
    spool: Spool, sender: SpoolSender, coordinator: Coordinator, trouble: int
) -> None:
    spool.add(report("a"), {})
    coordinator.errors["a"] = OSError(trouble, os.strerror(trouble))
    assert not sender.send_all()
    assert (names(spool), spool.rejected()) == (["a"], 0)
    coordinator.errors.clear()
    assert sender.send_all()
    assert coordinator.arrived == ["d1:a.1"]
