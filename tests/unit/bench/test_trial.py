from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest

from tests.bench.lab import Lab
from tests.bench.record import Measurement
from tests.bench.trial import choose


@dataclass(frozen=True)
class Silent:
    names: tuple[str, ...]
    heavy: bool = False

    def measure(self, lab: Lab, wanted: Sequence[str]) -> Iterator[Measurement]:
        yield from ()


BOTH = Silent(("engine_fidelity/x/wasm", "instrumentation/x/wasm"))
GROUP = Silent(("engines/x",))
HEAVY = Silent(("download/big",), heavy=True)


@pytest.mark.parametrize(
    ("only", "heavy", "wanted"),
    [
        (None, False, [BOTH.names, GROUP.names]),
        (None, True, [BOTH.names, GROUP.names, HEAVY.names]),
        ("instrumentation", False, [("instrumentation/x/wasm",)]),
        ("engine", False, [("engine_fidelity/x/wasm",), ("engines/x",)]),
        ("engines/x/some-build/decode", False, [("engines/x",)]),
        ("download", False, []),
        ("download", True, [("download/big",)]),
        ("download/big", False, [("download/big",)]),
        ("download/big/devtools", False, [("download/big",)]),
        ("nothing", True, []),
    ],
)
def test_which_figures_a_name_means(only: str | None, heavy: bool, wanted: list[tuple[str, ...]]) -> None:
    assert [one.wanted for one in choose([BOTH, GROUP, HEAVY], only, heavy)] == wanted
