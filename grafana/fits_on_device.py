"""The dashboard "Fits on device": which model fits where, how large it is, and how that changes.

Cells are shown for the newest browser that ran them: a browser update makes a new cell and leaves the old one behind.
"""

from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders import stat, xychart
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import xychart as xychart_models

from grafana.parts import (
    AMBER,
    BLUE,
    GREEN,
    RED,
    VERDICTS,
    Panel,
    bars,
    choice,
    dashboard_json,
    fixed,
    grid,
    lines,
    listing,
    newest_value,
    now,
    number,
    over_time,
    rows,
    thresholds,
    verdict_number,
)

CHOSEN: Final = 'variant=~"$variant",device=~"$device"'
NEWEST: Final = (
    f"topk by (variant, backend, device, workload) (1, fitmatrix_cell_last_run_timestamp_seconds{{{CHOSEN}}})"
)
REACH: Final = 'job_variant_emulated:fitmatrix_cell_fits:ratio{variant=~"$variant"}'
LEGEND: Final = (
    "{{variant}} ({{weights}}) · {{backend}} · {{workload}} on {{device}} (emulated: {{emulated}}), {{browser}}"
)


def generate() -> str:
    return dashboard_json(
        "fits-on-device",
        "Fits on device",
        "Which in-browser language models fit on which devices, for the newest browser of each.",
        [
            choice("variant", "variant", "fitmatrix_cell_fit_probability").all_value(".*"),
            choice("device", "device", "fitmatrix_cell_fit_probability").all_value(".*"),
        ],
        _panels(),
    )


def _panels() -> Iterator[Panel]:
    """Row by row, 24 columns wide."""
    yield _cells()
    yield number(
        "Infrastructure faults",
        "Share of the last hour's attempts that the lab failed, not the model.",
        "job:fitmatrix_attempts_infrastructure:ratio_rate1h",
        "percentunit",
        (GREEN, None),
        (RED, 0.2),
        width=6,
    )
    yield grid(
        "What fits where",
        "Rows: variant, weights, backend, workload. Columns: devices. Empty where nothing was measured.",
        f'label_join(label_join({verdict_number(CHOSEN)} and on (job, cell) {NEWEST}, "model", " · ", "variant", '
        '"weights", "backend", "workload"), "device", ", emulated: ", "device", "emulated")',
        "model",
        "device",
    )
    yield _size_against_reach()
    yield bars(
        "Probability that a run fits",
        "Mean over the runs of a cell; few runs leave it near one half.",
        now(f"sort_desc(fitmatrix_cell_fit_probability{{{CHOSEN}}} and {NEWEST})", LEGEND),
        "percentunit",
    )
    yield _cell_bars("Decode speed", "Median decode speed of a cell.", "decode_tokens_per_second", "suffix: tok/s")
    yield _cell_bars(
        "Peak memory",
        "Median peak of the browser's process tree above the idle browser's.",
        "peak_memory_bytes",
        "bytes",
    )
    yield lines(
        "Trend of what fits",
        "Mean probability that a run fits over the devices of a variant; emulated devices apart.",
        [
            over_time(
                f"avg by (variant, emulated) (fitmatrix_cell_fit_probability{{{CHOSEN}}} and {NEWEST})",
                "{{variant}} (emulated: {{emulated}})",
            )
        ],
        "percentunit",
        width=12,
    ).max(1)
    yield lines(
        "Trend of speed",
        "Decode speed of each cell's median; devices are not mixed.",
        [over_time(f"fitmatrix_cell_decode_tokens_per_second{{{CHOSEN}}} and {NEWEST}", LEGEND)],
        "suffix: tok/s",
        width=12,
    )
    yield bars(
        "Results by fault",
        "Runs that ended with a result, ever; none: the model ran.",
        now("sort_desc(sum by (verdict, fault) (fitmatrix_results_total))", "{{verdict}}: {{fault}}"),
        "short",
        width=8,
    )
    yield lines(
        "Verdicts that changed",
        "Settled cells that came to another verdict, and regressions: those that do not fit any more.",
        [
            over_time("sum by (before, to) (increase(fitmatrix_cell_flips_total[1h]))", "{{before}} → {{to}}"),
            over_time("sum by (to) (increase(fitmatrix_regressions_total[1h]))", "regressed to {{to}}", ref="B"),
        ],
        width=8,
    )
    yield _newest_cells()


def _cells() -> stat.Panel:
    panel = (
        stat.Panel()
        .title("Cells by verdict")
        .description("A cell is all runs of one variant on one backend of one device; unsettled ones need more runs.")
        .with_target(now("sum by (verdict) (fitmatrix_cells)", "{{verdict}}"))
        .reduce_options(newest_value())
        .orientation(common_models.VizOrientation.VERTICAL)
        .span(18)
        .height(4)
    )
    for verdict, (text, colour) in VERDICTS.items():
        name = models.DynamicConfigValue(id_val="displayName", value=text)
        panel.override_by_name(verdict, [fixed(colour), name])
    return panel


def _cell_bars(title: str, description: str, quantity: str, unit: str) -> Panel:
    return bars(title, description, now(f"sort_desc(fitmatrix_cell_{quantity}{{{CHOSEN}}} and {NEWEST})", LEGEND), unit)


def _size_against_reach() -> xychart.Panel:
    """A point for each variant: the best are small and high."""
    return (
        xychart.Panel()
        .title("Size against reach")
        .description(
            "Each point is a variant on real or on emulated devices: how large it is, and on what share of the devices "
            "with a settled cell it fits."
        )
        .with_target(rows(f"max by (variant, weights, emulated) ({REACH})"))
        .with_target(
            rows(
                "max by (variant, weights, emulated) "
                f"(0 * {REACH} + on (job, variant, weights) group_left () fitmatrix_variant_bytes)",
                ref="B",
            )
        )
        .with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
        .mapping(xychart_models.SeriesMapping.MANUAL)
        .series([_points()])
        .thresholds(thresholds((RED, None), (AMBER, 0.5), (GREEN, 0.8)))
        .override_by_name(
            "Value #B",
            [
                models.DynamicConfigValue(id_val="unit", value="bytes"),
                models.DynamicConfigValue(id_val="displayName", value="size"),
            ],
        )
        .override_by_name(
            "Value #A",
            [
                models.DynamicConfigValue(id_val="unit", value="percentunit"),
                models.DynamicConfigValue(id_val="displayName", value="reach"),
                fixed(BLUE),
            ],
        )
        .span(12)
        .height(9)
    )


def _points() -> xychart.XYSeriesConfig:
    def column(name: str) -> xychart.MatcherConfig:
        return xychart.MatcherConfig().id("byName").options(name)

    return (
        xychart.XYSeriesConfig()
        .x(xychart.XychartXYSeriesConfigX().matcher(column("Value #B")))
        .y(xychart.XychartXYSeriesConfigY().matcher(column("Value #A")))
    )


def _newest_cells() -> Panel:
    cells = f"fitmatrix_cell_info{{{CHOSEN}}} and on (job, cell) {NEWEST}"
    columns = ("variant", "weights", "backend", "device_name", "device_model", "emulated", "browser", "key")
    return listing(
        "Cells with their pages",
        "The key leads to the cell's page, with its runs and their evidence.",
        [rows(cells)],
        columns,
        ("key", "Open the cell", "${pages}/cells/${__value.text}"),
        width=8,
        height=9,
    )
