"""Figures as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contract.quantities import byte_count, parameter_count, seconds, significant
from orchestrator.presentation.words import plain


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (11.3, "11.3"), (1.834, "1.83"), (0.05, "0.05"), (0.000123, "0.000123"), (10, "10"), (123.4, "123")],
)
def test_three_digits_are_enough(value: float, expected: str) -> None:
    assert significant(value) == expected


@given(st.floats(min_value=1e-6, max_value=1e9))
def test_what_is_shown_is_near_what_is_meant(value: float) -> None:
    assert float(significant(value).replace(" ", "")) == pytest.approx(value, rel=0.006)


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "0 B"), (999, "999 B"), (23_000_000, "23 MB"), (1_258_000_000, "1.26 GB")]
)
def test_bytes_are_decimal(count: int, expected: str) -> None:
    assert byte_count(count) == expected


@pytest.mark.parametrize(("count", "expected"), [(134_515_008, "135 M"), (2_000_000_000, "2 B"), (12, "12")])
def test_parameters_are_short(count: int, expected: str) -> None:
    assert parameter_count(count) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.047, "47 ms"), (2.31, "2.31 s"), (125, "2 min 05 s")])
def test_times_have_a_fitting_unit(value: float, expected: str) -> None:
    assert seconds(value) == expected


@given(st.text())
def test_plain_is_one_printable_line(text: str) -> None:
    line = plain(text)
    assert line.isprintable()
    assert len(line) <= 200
    assert plain(line) == line
