"""What a query has to answer to be worth a panel."""

import math

from tests.monitoring.lab import RunningPrometheus
from tests.waiting import wait_until


def assert_figures(prometheus: RunningPrometheus, expression: str) -> None:
    samples = wait_until(lambda: prometheus.query(expression), what=f"an answer to {expression}")
    assert all(math.isfinite(float(sample["value"][1])) for sample in samples), samples
