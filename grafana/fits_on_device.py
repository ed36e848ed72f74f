"""The dashboard "Fits on device"; run as a module it prints the JSON of `dashboards/fits-on-device.json`.

Cells are shown for the newest browser that ran them: a browser update makes a new cell and leaves the old one behind.
"""

import json
import sys
from collections.abc import Iterator
from typing import Final

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
CHOSEN: Final = '{variant=~"$variant",device=~"$device"}'
NEWEST: Final = f"topk by (variant, backend, device, workload) (1, fitmatrix_cell_last_run_timestamp_seconds{CHOSEN})"
CELL_LEGEND: Final = (
    "{{variant}} ({{weights}}) · {{backend}} · {{workload}} on {{device}} (emulated: {{emulated}}), {{browser}}"
)
VERDICT_COLOURS: Final = {
    "fits": "green",
    "too-slow": "yellow",
    "wrong-output": "orange",
    "fails": "red",
    "unsettled": "gray",
}

Panel = stat.Panel | table.Panel | timeseries.Panel | bargauge.Panel


def dashboard_json() -> str:
    """The whole dashboard, the same text every time."""
    dashboard = (
        builders.Dashboard("Fits on device")
        .uid("fits-on-device")
        .description("Which in-browser language models run on which devices, and how the measuring goes.")
        .tags(["fitmatrix"])
        .timezone("browser")
        .time("now-24h", "now")
        .refresh("1m")
        .readonly()
        .with_variable(builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_variable("variant"))
        .with_variable(_variable("device"))
    )
    for number, panel in enumerate(_panels(), start=1):
        dashboard.with_panel(panel.id(number).datasource(DATASOURCE))
    return json.dumps(dashboard.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _panels() -> Iterator[Panel]:
    """Row by row, 24 columns wide."""
    yield _cells()
    yield _infrastructure()
    yield _fit_probability()
    yield _cell_bars("Decode speed", "Median decode speed of a cell.", "decode_tokens_per_second", "suffix: tok/s")
    yield _cell_bars(
        "Peak memory",
        "Median peak of the browser's process tree above the idle browser's.",
        "peak_memory_bytes",
        "bytes",
    )
    yield _runs()
    yield _results()
    yield _wait()
    yield _devices()
    yield _heat()


def _cells() -> stat.Panel:
    panel = (
        stat.Panel()
        .title("Cells by verdict")
        .description("A cell is all runs of one variant on one backend of one device; unsettled ones need more runs.")
        .with_target(_now("sum by (verdict) (fitmatrix_cells)", "{{verdict}}"))
        .reduce_options(_newest_value())
        .orientation(common_models.VizOrientation.VERTICAL)
        .span(18)
        .height(4)
    )
    for verdict, colour in VERDICT_COLOURS.items():
        fixed = models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})
        panel.override_by_name(verdict, [fixed])
    return panel


def _infrastructure() -> stat.Panel:
    return (
        stat.Panel()
        .title("Infrastructure faults")
        .description("Share of the last hour's attempts that the lab failed, not the model.")
        .with_target(_now("job:fitmatrix_attempts_infrastructure:ratio_rate1h", ""))
        .reduce_options(_newest_value())
        .unit("percentunit")
        .thresholds(_thresholds(("green", None), ("red", 0.2)))
        .no_value("no attempts")
        .span(6)
        .height(4)
    )


def _fit_probability() -> table.Panel:
    cells = f"fitmatrix_cell_fit_probability{CHOSEN} and {NEWEST}"
    by_device = {"rowField": "model", "columnField": "device", "valueField": "Value", "emptyValue": "null"}
    cell_background = models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-background"})
    return (
        table.Panel()
        .title("Probability that a run fits")
        .description("Rows: variant, weights, backend, workload. Columns: devices. Empty where nothing was measured.")
        .with_target(
            _now(
                f'label_join(label_join({cells}, "model", " · ", "variant", "weights", "backend", "workload"), '
                '"device", ", emulated: ", "device", "emulated")',
                "",
            ).format(PromQueryFormat.TABLE)
        )
        .with_transformation(models.DataTransformerConfig(id_val="groupingToMatrix", options=by_device))
        .unit("percentunit")
        .min(0)
        .max(1)
        .thresholds(_thresholds(("red", None), ("yellow", 0.5), ("green", 0.8)))
        .override_by_field_type("number", [cell_background])
        .span(24)
        .height(10)
    )


def _cell_bars(title: str, description: str, quantity: str, unit: str) -> bargauge.Panel:
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .with_target(_now(f"sort_desc(fitmatrix_cell_{quantity}{CHOSEN} and {NEWEST})", CELL_LEGEND))
        .unit(unit)
        .min(0)
        .reduce_options(_newest_value())
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .thresholds(_thresholds(("blue", None)))
        .no_value("not measured")
        .span(12)
        .height(9)
    )


def _runs() -> timeseries.Panel:
    return (
        timeseries.Panel()
        .title("Runs by state")
        .with_target(_over_time("sum by (state) (fitmatrix_runs)", "{{state}}"))
        .stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
        .fill_opacity(20)
        .min(0)
        .decimals(0)
        .span(8)
        .height(8)
    )


def _results() -> bargauge.Panel:
    return (
        bargauge.Panel()
        .title("Results by fault")
        .description("Runs that ended with a result, ever; none: the model ran.")
        .with_target(_now("sort_desc(sum by (verdict, fault) (fitmatrix_results_total))", "{{verdict}}: {{fault}}"))
        .min(0)
        .reduce_options(_newest_value())
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .thresholds(_thresholds(("blue", None)))
        .span(8)
        .height(8)
    )


def _wait() -> timeseries.Panel:
    return (
        timeseries.Panel()
        .title("Wait for a device")
        .description(
            "Nineteen of twenty attempts of the last hour were leased within this time of their run's creation."
        )
        .with_target(_over_time("job:fitmatrix_dispatch_wait_seconds:p95_rate1h", "95 %"))
        .unit("s")
        .min(0)
        .span(8)
        .height(8)
    )


def _devices() -> timeseries.Panel:
    return (
        timeseries.Panel()
        .title("Devices by state")
        .description("A device in quarantine takes health runs alone, until one passes.")
        .with_target(_over_time("sum by (state) (fitmatrix_devices)", "{{state}}"))
        .stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
        .fill_opacity(20)
        .min(0)
        .decimals(0)
        .span(12)
        .height(8)
    )


def _heat() -> timeseries.Panel:
    return (
        timeseries.Panel()
        .title("Heat of the batteries")
        .description("Of devices that tell it and are not offline.")
        .with_target(_over_time('fitmatrix_device_battery_temperature_celsius{device=~"$device"}', "{{device}}"))
        .unit("celsius")
        .no_value("no device tells")
        .span(12)
        .height(8)
    )


def _variable(label: str) -> builders.QueryVariable:
    """Chooses by a label of the cells."""
    return (
        builders.QueryVariable(label)
        .label(label.capitalize())
        .datasource(DATASOURCE)
        .query(f"label_values(fitmatrix_cell_fit_probability, {label})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )


def _now(expression: str, legend: str) -> prometheus.Dataquery:
    return _over_time(expression, legend).instant()


def _over_time(expression: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id("A").expr(expression).legend_format(legend).datasource(DATASOURCE)


def _newest_value() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def _thresholds(*steps: tuple[str, float | None]) -> Builder[models.ThresholdsConfig]:
    """Colours with the value each begins at; the first has none."""
    return (
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(color=colour, value=value) for colour, value in steps])
    )


if __name__ == "__main__":
    sys.stdout.write(dashboard_json())
