"""How hard the property tests look."""

import os
from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings

FACTOR: Final = int(os.environ.get("FITMATRIX_PROPERTY_FACTOR", "1"))
"""`make chaos` looks that many times harder, and at other examples each time; `make test` always at the same ones."""


def effort(examples: int, **further: Any) -> settings:
    return settings(
        max_examples=examples * FACTOR,
        derandomize=FACTOR == 1,
        database=None,
        deadline=None,  # of time: a busy machine is no failure
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        print_blob=True,
        # Making a failing example smaller takes minutes: `make chaos` has them.
        phases=[phase for phase in Phase if FACTOR > 1 or phase is not Phase.shrink],
        **further,
    )
