"""The dashboard "Model": where one model fits, how fast, and how that changes."""

from collections.abc import Iterator
from typing import Final

from grafana.parts import (
    Panel,
    bars,
    choice,
    dashboard_json,
    grid,
    lines,
    listing,
    now,
    over_time,
    rows,
    verdict_column,
    verdict_number,
)

CHOSEN: Final = 'variant=~"$variant"'
LEGEND: Final = "{{variant}} · {{backend}} on {{device}} (emulated: {{emulated}}), {{browser}}"


def generate() -> str:
    return dashboard_json(
        "model",
        "Model",
        "One model on all devices: its variants, with every browser that ran them.",
        [
            choice("model", "model", "fitmatrix_cell_info", several=False),
            choice("variant", "variant", 'fitmatrix_cell_info{model="$model"}'),
        ],
        _panels(),
    )


def _panels() -> Iterator[Panel]:
    yield grid(
        "Verdicts",
        "Rows: variant, weights, backend, browser. Columns: devices.",
        f'label_join(label_join({verdict_number(CHOSEN)}, "build", " · ", "variant", "weights", "backend", "browser"), '
        '"device", ", emulated: ", "device", "emulated")',
        "build",
        "device",
        height=8,
    )
    yield lines(
        "Probability that a run fits",
        "Of each cell.",
        [over_time(f"fitmatrix_cell_fit_probability{{{CHOSEN}}}", LEGEND)],
        "percentunit",
        width=12,
    ).max(1)
    yield lines(
        "Runs of each cell",
        "Five successes or two failures settle most.",
        [over_time(f"fitmatrix_cell_runs{{{CHOSEN}}}", LEGEND)],
        width=12,
    )
    yield _figure("Decode speed", "decode_tokens_per_second", "suffix: tok/s")
    yield _figure("Time to the first token", "ttft_seconds", "s")
    yield _figure("Latency of an inference", "latency_seconds", "s")
    yield _figure("Peak memory", "peak_memory_bytes", "bytes")
    yield _figure("Download", "download_bytes", "bytes")
    yield bars(
        "Size",
        "Of the files of each variant.",
        now(f"sort_desc(fitmatrix_variant_bytes{{{CHOSEN}}})", "{{variant}} ({{weights}})"),
        "bytes",
    )
    yield verdict_column(
        listing(
            "Cells",
            "The key leads to the cell's page, with its runs and their evidence.",
            [rows(f"({verdict_number(CHOSEN)}) * on (job, cell) group_right () fitmatrix_cell_info{{{CHOSEN}}}")],
            ("variant", "Value", "weights", "backend", "device_name", "device_model", "emulated", "browser", "key"),
            ("key", "Open the cell", "${pages}/cells/${__value.text}"),
        ),
        "Value",
    )


def _figure(title: str, quantity: str, unit: str) -> Panel:
    return lines(
        title,
        "Median of each cell; absent where it was not measured.",
        [over_time(f"fitmatrix_cell_{quantity}{{{CHOSEN}}}", LEGEND)],
        unit,
        width=12,
    )
