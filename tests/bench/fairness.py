"""`fairness`: what a submitter with ten runs feels of one with ten thousand at the same priority."""

import importlib.util
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from orchestrator.contract.catalog import Variant
from orchestrator.contract.vocabulary import JobState, Role
from tests.bench.fleet import Fleet, Model
from tests.bench.fleet.stage import VARIANTS, Stage, await_that, running, stage
from tests.bench.lab import Lab, MeasureError
from tests.bench.pairing import median, value_spread
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut, Trial

NAME: Final = "fairness/small_beside_large"
_DEVICES: Final = 40
_RUN_SECONDS: Final = 1.0
_SMALL_DEVICES: Final = 2
_SMALL_REPEATS: Final = 5
_LARGE_RUNS: Final = 10_000
_TIMES: Final = 5
_PATIENCE_SECONDS: Final = 30.0


class Fairness:
    names = (NAME,)
    heavy = False

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        admin = secrets.token_urlsafe(24)
        model = Model(seconds=_RUN_SECONDS)
        with stage(token=admin) as place:
            small, large = (_token(place, name) for name in ("small", "large"))
            fleet = Fleet(place.url, agents=1, devices_per_agent=_DEVICES, model=model, seed=5, name="lab", token=admin)
            with running(fleet):
                alone = [_small_job(place, small, number) for number in range(_TIMES)]
                repeats = _LARGE_RUNS // (_DEVICES * len(VARIANTS))
                place.submit(large, repeats=min(100, repeats))
                place.submit(large, repeats=repeats - min(100, repeats))
                await_that(lambda: fleet.busy == _DEVICES, 60.0, lambda: f"only {fleet.busy} devices were busy")
                beside = [_small_job(place, small, number + _TIMES) for number in range(_TIMES)]
        (name,) = wanted
        lab.say(f"{name}: {median(beside):.2f} s beside, {median(alone):.2f} s alone")
        yield Measurement(
            name=name,
            value=median(beside),
            unit="s",
            baseline=f"the same ten runs alone: {median(alone):.3g} s",
            ratio=median(beside) / median(alone),
            target="≤ 2 ×",
            n=_TIMES,
            spread=value_spread(beside),
            note=(
                f"ten runs ({_SMALL_REPEATS} on each of {_SMALL_DEVICES} devices) of about {_RUN_SECONDS:g} s, from "
                f"submitting to the job's end; the other's {_LARGE_RUNS} runs are for all {_DEVICES} devices, these "
                "among them; runs that have begun are not interrupted"
            ),
        )


def _token(place: Stage, name: str) -> Mapping[str, str]:
    """What the holder of a new token sends with each request."""
    answer = place.http.post("/tokens", json={"name": name, "role": Role.SUBMITTER})
    if not answer.is_success:
        raise MeasureError(f"the coordinator made no token: {answer.status_code} {answer.text[:300]}")
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def _small_job(place: Stage, submitter: Mapping[str, str], number: int) -> float:
    """Seconds from submitting ten runs to their end."""
    devices = " || ".join(f'id == "lab-000.device-{one:03d}"' for one in range(_SMALL_DEVICES))
    began = time.monotonic()
    job = place.submit(
        submitter,
        variants=[VARIANTS[0]],
        devices=devices,
        repeats=_SMALL_REPEATS,
        criteria={"max_ttft_seconds": 100 + number},
    )
    path = f"/jobs/{job['id']}"
    await_that(
        lambda: place.http.get(path, headers=dict(submitter)).json()["state"] == JobState.FINISHED,
        _PATIENCE_SECONDS,
        lambda: "the small job had not ended",
    )
    return time.monotonic() - began


def trials(_variants: dict[str, Variant]) -> tuple[list[Trial], list[LeftOut]]:
    if importlib.util.find_spec("orchestrator.api.users") is None:
        return [], [LeftOut(NAME, "this coordinator has no tokens, so all jobs are of one submitter")]
    return [Fairness()], []
