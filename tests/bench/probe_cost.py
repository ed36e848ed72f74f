"""`probe_cost`: does it slow a page down to be watched from outside?"""

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from agents.attempt_page import page_spec
from agents.browsers.protocol import LaunchPlan
from agents.devices.journal import Journal
from agents.leftovers import AttemptRecord, Leftovers
from orchestrator.contract.attempt import AttemptReport, AttemptSpec
from orchestrator.contract.catalog import Variant
from orchestrator.contract.job import Criteria
from orchestrator.contract.vocabulary import Phase
from orchestrator.domain.judgement import judge
from tests.bench import fidelity
from tests.bench.agent_cpu import AgentCpu
from tests.bench.lab import DEVICE, PATIENCE, Case, Lab, MeasureError
from tests.bench.pairing import Patience, Round, interleave, median, ratio_spread, ratios
from tests.bench.record import Measurement
from tests.bench.trial import LeftOut
from tests.workbench import Workbench, built

CASES: Final = {
    engine: dataclasses.replace(case, workload={**case.workload, "repetitions": 8})
    for engine, case in fidelity.CASES.items()
    if engine in ("transformers.js/wasm", "mediapipe-llm/webgpu")
}
"""One repetition of an engine that computes on the processor in many threads differs from the next by a third, so the
median is of more of them than elsewhere."""
ROUNDS: Final = Patience(least=6, most=20, seconds=240.0)
_LAUNCH_SECONDS: Final = 60.0


@dataclass(frozen=True)
class ProbeCost:
    """One runtime on one backend, with every probe of an attempt and with none."""

    engine: str
    """`<runtime>/<backend>`."""
    case: Case
    heavy: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (f"probe_cost/{self.engine}",)

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        variant = built(self.case.variant).model_copy(update={"validation": None})
        unit = lab.lab_speed(self.case).unit  # Once before it counts: files are read from the disk the first time.

        cpu = {"watched": AgentCpu(), "unwatched": AgentCpu()}

        def watched() -> float:
            lab.workbench.server.on_word = cpu["watched"].look
            return lab.lab_speed(self.case).value

        def unwatched() -> float:
            lab.workbench.server.on_word = cpu["unwatched"].look
            spec = lab.workbench.spec(
                variant, self.case.backend, DEVICE, workload=self.case.workload_of(variant), timeouts=PATIENCE
            )
            return unwatched_speed(lab.workbench, spec)

        def report(number: int, one: Round) -> None:
            speeds = ", ".join(f"{side} {value:.4g}" for side, value in one.items())
            lab.say(f"probe_cost/{self.engine}: round {number}: {speeds} {unit}; ratio {ratio(one):.4f}")

        def ratio(one: Round) -> float:
            return one["watched"] / one["unwatched"]

        patience = ROUNDS if lab.patience == Patience() else lab.patience
        try:
            rounds = interleave({"watched": watched, "unwatched": unwatched}, patience, report)
        finally:
            lab.workbench.server.on_word = None
        spent = ", ".join(f"{side} {one.milliseconds_per_second:.1f}" for side, one in cpu.items())
        shares = ratios(rounds, "watched", "unwatched")
        other = median([one["unwatched"] for one in rounds])
        (name,) = wanted
        yield Measurement(
            name=name,
            value=median([one["watched"] for one in rounds]),
            unit=unit,
            baseline=f"the same page and browser with nobody watching: {other:.4g} {unit}",
            ratio=median(shares),
            target="≥ 0.99",
            n=len(rounds),
            spread=ratio_spread(shares),
            note=f"{self.case.label}; the agent's processor time in ms per second of measuring: {spent}",
        )


def unwatched_speed(workbench: Workbench, spec: AttemptSpec) -> float:
    """Decoded tokens per second without DevTools, memory sampler, health watch and recorders.

    The browser, its flags and the page with its own instruments are those of an attempt.
    """
    done = threading.Event()
    page = workbench.server.open_attempt(
        page_spec(spec),
        page_files=workbench.served_files(spec.variant),
        model_files=workbench.files_of(spec.variant),
        media_types=workbench.media_types,
        on_news=lambda: done.set() if page.report is not None else None,
    )
    device = workbench.devices[DEVICE]
    left = Leftovers(workbench.scratch.parent / "unwatched")
    left.begin(AttemptRecord(run_id=spec.run_id, number=1, device_id=spec.device_id, phase=Phase.LAUNCH))
    session = None
    began = datetime.now(UTC)
    try:
        plan = LaunchPlan(
            profile=left.profile,
            temporary=left.temporary,
            log=left.driver_log,
            wrapper=None,
            journal=Journal(workbench.scratch.parent / "unwatched-journal.json"),
            timeout_s=_LAUNCH_SECONDS,
        )
        session = device.browser(spec.browser).launch(plan, threading.Event())
        session.open(page.url)
        if not done.wait(spec.timeouts.whole):
            raise MeasureError("the unwatched page never reported")
    finally:
        with suppress(Exception):
            if session is not None:
                session.close()
        problems = left.take_away()
    if problems or page.report is None or not page.report.completed:
        raise MeasureError(f"the unwatched page did not complete: {problems or page.report}")
    report = AttemptReport(
        run_id=spec.run_id,
        number=spec.number,
        device_id=spec.device_id,
        started_at=began,
        finished_at=datetime.now(UTC),
        phase=page.report.phase,
        page=page.report,
    )
    speed = judge(report, spec.variant, spec.workload, Criteria()).figures.decode_tokens_per_second
    if speed is None:
        raise MeasureError("the unwatched page has no speed")
    return speed


def trials(variants: dict[str, Variant]) -> tuple[list[ProbeCost], list[LeftOut]]:
    """A trial for each engine whose variant the catalog has."""
    found = [ProbeCost(engine, CASES[engine]) for engine in CASES if CASES[engine].variant in variants]
    missing = [engine for engine in CASES if CASES[engine].variant not in variants]
    return found, [
        LeftOut(f"probe_cost/{engine}", f"the catalog has no variant {CASES[engine].variant}") for engine in missing
    ]
