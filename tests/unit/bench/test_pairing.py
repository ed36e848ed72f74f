from collections.abc import Callable

import pytest

from tests.bench.pairing import Patience, interleave, median, ratio_spread, ratios, value_spread


def test_every_other_round_runs_backwards() -> None:
    order: list[str] = []

    def side(name: str, value: float) -> Callable[[], float]:
        def run() -> float:
            order.append(name)
            return value

        return run

    heard: list[int] = []
    rounds = interleave(
        {"a": side("a", 1), "b": side("b", 2), "c": side("c", 4)},
        Patience.exactly(3),
        lambda number, _one: heard.append(number),
    )
    assert "".join(order) == "abccbaabc"
    assert rounds == [{"a": 1, "b": 2, "c": 4}] * 3
    assert heard == [1, 2, 3]


@pytest.mark.parametrize(("seconds_a_round", "rounds"), [(1, 6), (9, 3), (10, 3), (11, 2), (100, 2)])
def test_as_many_rounds_as_fit_into_the_time_within_bounds(seconds_a_round: float, rounds: int) -> None:
    now = 0.0

    def side() -> float:
        nonlocal now
        now += seconds_a_round
        return 1.0

    done = interleave({"a": side}, Patience(least=2, most=6, seconds=30), lambda *_: None, clock=lambda: now)
    assert len(done) == rounds


def test_drift_that_meets_both_sides_cancels_out_of_the_ratio() -> None:
    speed = 100.0

    def slower() -> float:
        nonlocal speed
        speed -= 1
        return speed

    rounds = interleave({"a": slower, "b": slower}, Patience.exactly(4), lambda *_: None)
    assert median(ratios(rounds, "a", "b")) == pytest.approx(1.0, abs=1e-3)


def test_quartiles() -> None:
    spread = ratio_spread([1.0, 2.0, 3.0, 4.0, 5.0])
    assert spread is not None
    assert (spread.of, spread.p25, spread.p75) == ("ratio", 2.0, 4.0)


def test_one_value_has_no_spread() -> None:
    assert value_spread([1.0]) is None
