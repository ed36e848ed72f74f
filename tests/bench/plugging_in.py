"""`plugging_in`: from a phone that appears at adb to the first result of its browser, without any configuration."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from orchestrator.contract.catalog import Variant
from tests.acceptance.lab import provide_models
from tests.bench.lab import Lab, MeasureError
from tests.bench.pairing import median, value_spread
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut, Trial
from tests.integration.coordinator.lab import RunningCoordinator, Submitter
from tests.phone.adb import AdbServer
from tests.phone.agent import PhoneAgent
from tests.phone.simulated import SimulatedPhone
from tests.phone_bench import provide_appium
from tests.waiting import wait_until

NAME: Final = "plugging_in/first_result"
_VARIANT: Final = "llama-tiny.q8"
_ROUNDS: Final = 5
_SECONDS: Final = 180.0


class PluggingIn:
    names = (NAME,)
    heavy = False

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        provide_appium()
        firsts, again = [], []
        for number in range(_ROUNDS):
            with tempfile.TemporaryDirectory(prefix="fm-plug-") as folder:
                first, next_one = _round(Path(folder))
            lab.say(f"{NAME} {number + 1}: {first:.1f} s; the same run once more {next_one:.1f} s")
            firsts.append(first)
            again.append(next_one)
        (name,) = wanted
        yield Measurement(
            name=name,
            value=median(firsts),
            unit="s",
            baseline=f"the same run on the phone that is known by then: {median(again):.1f} s",
            ratio=median([one / other for one, other in zip(firsts, again, strict=True)]),
            target="≤ 60 s",
            n=_ROUNDS,
            spread=value_spread(firsts),
            note=f"from adb's connect to the end of {_VARIANT} in the simulated phone's Chrome, submitted when the "
            "phone shows up; facts, a worker, Appium and its drivers on the phone, pages and model included",
        )


def _round(folder: Path) -> tuple[float, float]:
    """Seconds to the first result of a phone that nobody has seen before, and to the next one."""
    coordinator = RunningCoordinator(folder / "data")
    provide_models(coordinator.data, _VARIANT)
    coordinator.start()
    try:
        qa = Submitter(coordinator, 'os == "android" && browser.name == "chrome"')
        with AdbServer() as server, SimulatedPhone(folder / "phone") as phone:
            agent = PhoneAgent(coordinator.url, server, folder / "agent")
            try:
                wait_until(lambda: qa.get("/api/v1/devices")["items"], _SECONDS, "the agent")
                plugged = time.monotonic()
                phone.connect(server)
                wait_until(lambda: _phones(qa), _SECONDS, "the phone")
                _result(qa)
                first = time.monotonic() - plugged
                submitted = time.monotonic()
                _result(qa)
                return first, time.monotonic() - submitted
            finally:
                agent.stop()
                qa.close()
    finally:
        coordinator.stop()


def _phones(qa: Submitter) -> list[Any]:
    return [row for row in qa.get("/api/v1/devices")["items"] if row["registration"]["id"].startswith("android.")]


def _result(qa: Submitter) -> None:
    job = qa.submit(variants=[_VARIANT])
    wait_until(lambda: qa.job(job)["state"] == "finished", _SECONDS, "the run's end")
    (run,) = qa.runs(job)
    if run["fault"] is not None:
        raise MeasureError(f"the run on the phone failed: {run['fault']}")


def trials(_variants: dict[str, Variant]) -> tuple[list[Trial], list[LeftOut]]:
    return [PluggingIn()], []
