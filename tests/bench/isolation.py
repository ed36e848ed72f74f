"""`isolation`: the pace of nine devices beside a tenth that hangs, against their pace beside one that does not."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import count, cycle
from pathlib import Path
from typing import Final

from orchestrator.contract.catalog import Variant
from tests.bench.lab import Lab
from tests.bench.pairing import interleave, median, ratio_spread, ratios
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut, Trial
from tests.integration.agents_host.lab import Lab as HostLab
from tests.integration.agents_host.lab import eventually

NAME: Final = "isolation/nine_beside_a_hanging_tenth"
_DEVICES: Final = [f"host-1.device{number}" for number in range(10)]
_TENTH: Final = _DEVICES[-1]
_RUNS_EACH: Final = 6
_PHASES: Final = ("prepare", "launch", "open", "measure", "collect", "cleanup")
_TARGET: Final = "≥ 0.95"


class Isolation:
    names = (NAME,)
    heavy = False

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        with tempfile.TemporaryDirectory(prefix="fm-isolation-") as folder:
            host = HostLab(Path(folder), *_DEVICES)
            try:
                host.start()
                pace = _Pace(host)
                pace.alone()  # workers load and cache what they need
                rounds = interleave(
                    {"alone": pace.alone, "hanging": pace.beside_a_hanging_one},
                    lab.patience,
                    lambda number, one: lab.say(f"{number}: {one['hanging']:.1f} against {one['alone']:.1f} runs/s"),
                )
            finally:
                host.close()
        pairs = ratios(rounds, "hanging", "alone")
        (name,) = wanted
        yield Measurement(
            name=name,
            value=median([one["hanging"] for one in rounds]),
            unit="runs/s",
            baseline=f"the same nine beside a tenth that works: {median([one['alone'] for one in rounds]):.3g} runs/s",
            ratio=median(pairs),
            target=_TARGET,
            n=len(rounds),
            spread=ratio_spread(pairs),
            note="attempts that wait in each phase instead of opening a browser; the tenth hangs in each phase in turn",
        )


class _Pace:
    """Runs per second of the nine, while the tenth is busy in one way or the other."""

    def __init__(self, host: HostLab) -> None:
        self._host = host
        self._rounds = count()
        self._phases = cycle(_PHASES)

    def alone(self) -> float:
        number = next(self._rounds)
        for run in range(_RUNS_EACH):
            self._host.send(f"round{number}-tenth-{run}", device=_TENTH, behaviour="work")
        pace = self._nine(number)
        for run in range(_RUNS_EACH):
            self._host.coordinator.report_of(f"round{number}-tenth-{run}")
        return pace

    def beside_a_hanging_one(self) -> float:
        number, phase = next(self._rounds), next(self._phases)
        hang, hung = (self._host.place(_TENTH) / f"{word}-{phase}" for word in ("hang", "hung"))
        hung.unlink(missing_ok=True)
        hang.touch()
        self._host.send(f"round{number}-tenth", device=_TENTH, behaviour="work", whole=1)
        eventually(hung.exists, f"the tenth to hang in {phase}")
        pace = self._nine(number)
        hang.unlink()
        self._host.coordinator.report_of(f"round{number}-tenth")
        self._host.await_condition("ready", _TENTH)
        return pace

    def _nine(self, number: int) -> float:
        runs = {f"round{number}-{device}-{run}": device for run in range(_RUNS_EACH) for device in _DEVICES[:-1]}
        began = time.monotonic()
        for run, device in runs.items():
            self._host.send(run, device=device, behaviour="work")
        for run in runs:
            self._host.coordinator.report_of(run)
        return len(runs) / (time.monotonic() - began)


def trials(_variants: dict[str, Variant]) -> tuple[list[Trial], list[LeftOut]]:
    return [Isolation()], []
