from datetime import timedelta

import pytest

from orchestrator.domain.fair_share import EXPECTED_SECONDS, HALF_LIFE, Usage, charge, correction
from tests.unit.domain.builders import NOW


def test_device_time_weighs_half_after_a_half_life() -> None:
    assert Usage(100, NOW).at(NOW) == 100
    assert Usage(100, NOW).at(NOW + HALF_LIFE) == pytest.approx(50)
    assert Usage(100, NOW).at(NOW + 3 * HALF_LIFE) == pytest.approx(12.5)


def test_a_clock_that_went_back_makes_nothing_weigh_more() -> None:
    assert Usage(100, NOW).at(NOW - HALF_LIFE) == 100


def test_what_is_charged_is_added_to_what_still_weighs() -> None:
    assert charge(None, 30, NOW) == Usage(30, NOW)
    assert charge(Usage(100, NOW), 30, NOW + HALF_LIFE) == Usage(80, NOW + HALF_LIFE)
    assert charge(Usage(10, NOW), -30, NOW) == Usage(0, NOW)


@pytest.mark.parametrize("seconds", [1, 60, 600, 7200])
def test_an_attempt_has_cost_its_time_in_the_end(seconds: float) -> None:
    ended = NOW + timedelta(seconds=seconds)
    begun = charge(None, EXPECTED_SECONDS, NOW)
    assert charge(begun, correction(NOW, ended), ended).seconds == pytest.approx(seconds)
