"""Which cells of the matrix are meant."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict


class CellFilters(TypedDict, total=False):
    """Any of the values given for a name, and all names; what is left out does not matter."""

    model: Sequence[str]
    family: Sequence[str]
    size_class: Sequence[str]
    variant: Sequence[str]
    quantization: Sequence[str]
    runtime: Sequence[str]
    runtime_version: Sequence[str]
    backend: Sequence[str]
    weights: Sequence[str]
    workload: Sequence[str]
    criteria: Sequence[str]
    """Such as `decode>=5 ttft<=10 latency<=1`."""
    device: Sequence[str]
    device_model: Sequence[str]
    device_class: Sequence[str]
    browser: Sequence[str]
    browser_channel: Sequence[str]
    browser_version: Sequence[str]
    flags: Sequence[str]
    """All that the browser was started with, with spaces; empty for none."""
    origin: Sequence[str]
    """`physical`, `emulated` or `imported`."""
    label: Sequence[str]
    """Counts runs of jobs with any of these labels only: `name` or `name=value`."""
    since: datetime | str
    until: datetime | str
    """Count runs that ended from then, and before then, only."""


def filter_params(only: CellFilters) -> Mapping[str, Any]:
    """As the API takes them."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in only.items()}
