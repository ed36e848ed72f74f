"""The dashboard "Device": what one device does, how it is, and what fits on it."""

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import statetimeline, timeseries
from grafana_foundation_sdk.models import dashboard as models

from grafana.parts import (
    BLUE,
    DEVICE_STATES,
    GREEN,
    RED,
    WIDTH,
    Panel,
    choice,
    dashboard_json,
    lines,
    listing,
    number,
    over_time,
    rows,
    verdict_column,
    verdict_number,
)

CHOSEN: Final = 'device="$device"'


def generate() -> str:
    return dashboard_json(
        "device",
        "Device",
        "One device of the lab.",
        [choice("device", "device", "fitmatrix_device_state", several=False)],
        _panels(),
    )


def _panels() -> Iterator[Panel]:
    yield _states()
    yield number("Waiting runs", "For this device.", f"fitmatrix_device_queued_runs{{{CHOSEN}}}", "short", (BLUE, None))
    yield number(
        "Faults in a row",
        "That were not the model's; three take it out of service.",
        f"fitmatrix_device_infrastructure_faults{{{CHOSEN}}}",
        "short",
        (GREEN, None),
        (RED, 1),
    )
    yield number(
        "Newest run",
        "Whether it fits: 1 or 0.",
        f"fitmatrix_last_run_fits{{{CHOSEN}}}",
        "short",
        (RED, None),
        (GREEN, 1),
    )
    yield number(
        "Ended",
        "When the newest run of a model ended.",
        f"1000 * fitmatrix_last_run_timestamp_seconds{{{CHOSEN}}}",
        "dateTimeFromNow",
        (BLUE, None),
    )
    yield number(
        "Newest speed",
        "Of the newest run that generated text.",
        f"fitmatrix_last_run_decode_tokens_per_second{{{CHOSEN}}}",
        "suffix: tok/s",
        (BLUE, None),
    )
    yield number(
        "Newest memory",
        "Peak above the idle browser's, in the newest run that measured it.",
        f"fitmatrix_last_run_peak_memory_bytes{{{CHOSEN}}}",
        "bytes",
        (BLUE, None),
    )
    yield verdict_column(
        listing(
            "What fits on it",
            "The key leads to the cell's page, with its runs and their evidence.",
            [rows(f"({verdict_number(CHOSEN)}) * on (job, cell) group_right () fitmatrix_cell_info{{{CHOSEN}}}")],
            ("variant", "Value", "weights", "backend", "browser", "workload", "key"),
            ("key", "Open the cell", "${pages}/cells/${__value.text}"),
        ),
        "Value",
    )
    yield _health("Charge", "battery_ratio", "percentunit").max(1)
    yield _health("Heat", "battery_temperature_celsius", "celsius")
    yield _health("Throttling, 0 none to 6 shutdown", "thermal_status", "short").max(6)
    yield _health("Free storage", "free_storage_bytes", "bytes")
    yield _health("Answer to the shortest question", "latency_seconds", "s")
    yield lines(
        "Speed of its cells",
        "Median decode speed of each variant.",
        [over_time(f"fitmatrix_cell_decode_tokens_per_second{{{CHOSEN}}}", "{{variant}} · {{backend}}, {{browser}}")],
        "suffix: tok/s",
    )


def _states() -> statetimeline.Panel:
    """Each state's colour where it is the one that the device is in."""
    codes = {
        str(place): models.ValueMappingResult(text=state, color=colour, index=place)
        for place, (state, colour) in enumerate(DEVICE_STATES.items(), start=1)
    }
    parts = (
        f'{place} * fitmatrix_device_state{{state="{state}",{CHOSEN}}}'
        for place, state in enumerate(DEVICE_STATES, start=1)
    )
    return (
        statetimeline.Panel()
        .title("State")
        .description("What the device was doing, or why it did nothing.")
        .with_target(over_time(f"sum by (device) ({' or '.join(parts)})", "{{device}}"))
        .mappings([models.ValueMap(options=codes)])
        .links(
            [
                builders.DashboardLink("The device's page")
                .type(models.DashboardLinkType.LINK)
                .url("${pages}/devices/${device}")
                .target_blank(True)
            ]
        )
        .span(WIDTH)
        .height(5)
    )


def _health(title: str, quantity: str, unit: str) -> timeseries.Panel:
    return lines(
        title,
        "Absent where the device does not tell, and while it is offline.",
        [over_time(f"fitmatrix_device_{quantity}{{{CHOSEN}}}", "{{device}}")],
        unit,
    )
