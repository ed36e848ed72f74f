"""All trials there are for the catalog as it is."""

from collections.abc import Callable, Sequence
from typing import Final

from orchestrator.contract.catalog import Variant
from tests.bench import (
    agent_memory,
    build_memory,
    comparison,
    dispatch,
    download,
    fairness,
    fidelity,
    fleet_capacity,
    isolation,
    load,
    matrix_page,
    matrix_scale,
    overhead,
    plugging_in,
    probe_cost,
    serving,
    submission,
    throughput,
)
from tests.bench.trial import LeftOut, Trial

Plan = Callable[[dict[str, Variant]], tuple[Sequence[Trial], Sequence[LeftOut]]]

PLANS: Final[tuple[Plan, ...]] = (
    fidelity.trials,
    comparison.trials,
    download.trials,
    load.trials,
    build_memory.trials,
    serving.trials,
    overhead.trials,
    plugging_in.trials,
    probe_cost.trials,
    agent_memory.trials,
    isolation.trials,
    dispatch.trials,
    throughput.trials,
    fleet_capacity.trials,
    submission.trials,
    fairness.trials,
    matrix_page.trials,
    matrix_scale.trials,
)


def all_trials(variants: dict[str, Variant]) -> tuple[list[Trial], list[LeftOut]]:
    """Every trial, and what is left out with the reason."""
    trials: list[Trial] = []
    left_out: list[LeftOut] = []
    for plan in PLANS:
        more, missing = plan(variants)
        trials += more
        left_out += missing
    return trials, left_out
