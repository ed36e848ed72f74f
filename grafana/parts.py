"""What the dashboards share: datasource, colours, variables, links, and the kinds of panels."""

import json
from collections.abc import Iterable, Sequence
from typing import Final

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
    xychart,
)
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH: Final = 24
"""Columns of a dashboard."""

# As the pages have them: told apart by readers with any colour vision, and never without a word beside.
GREEN: Final = "#00906a"
AMBER: Final = "#e3a008"
PURPLE: Final = "#b560c4"
RED: Final = "#dd5a36"
SLATE: Final = "#7b93ad"
BLUE: Final = "#0a72c7"
SAND: Final = "#c9b27c"
VERDICTS: Final = {
    "fits": ("✔ fits", GREEN),
    "too-slow": ("◐ too slow", AMBER),
    "wrong-output": ("≠ wrong output", PURPLE),
    "fails": ("✘ fails", RED),
    "unsettled": ("? unsettled", SLATE),
}
DEVICE_STATES: Final = {
    "idle": GREEN,
    "busy": BLUE,
    "resting": AMBER,
    "reserved": PURPLE,
    "maintenance": SAND,
    "drained": SLATE,
    "offline": "#3a444f",
    "quarantined": RED,
}

Panel = stat.Panel | table.Panel | timeseries.Panel | bargauge.Panel | statetimeline.Panel | xychart.Panel


def dashboard_json(
    uid: str,
    title: str,
    description: str,
    variables: Iterable[Builder[models.VariableModel]],
    panels: Iterable[Panel],
) -> str:
    """The whole dashboard, the same text every time; every one links to the others and to the pages."""
    dashboard = (
        builders.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["fitmatrix"])
        .timezone("browser")
        .time("now-24h", "now")
        .refresh("1m")
        .readonly()
        .link(
            builders.DashboardLink("fitmatrix")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["fitmatrix"])
            .as_dropdown(True)
            .keep_time(True)
        )
        .link(builders.DashboardLink("Pages").type(models.DashboardLinkType.LINK).url("${pages}").target_blank(True))
        .with_variable(builders.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            builders.TextBoxVariable("pages").label("Address of the pages").default_value("http://127.0.0.1:8600")
        )
    )
    for variable in variables:
        dashboard.with_variable(variable)
    for number, panel in enumerate(panels, start=1):
        dashboard.with_panel(panel.id(number).datasource(DATASOURCE))
    return json.dumps(dashboard.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def choice(name: str, label: str, metric: str, *, several: bool = True) -> builders.QueryVariable:
    """Chooses by a label of a metric: one value, or several of them with all at first."""
    variable = (
        builders.QueryVariable(name)
        .label(name.capitalize())
        .datasource(DATASOURCE)
        .query(f"label_values({metric}, {label})")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.NATURAL_ASC)
    )
    if not several:
        return variable
    everything = models.VariableOption(selected=True, text=["All"], value=["$__all"])
    return variable.multi(True).include_all(True).current(everything)


def now(expression: str, legend: str = "", ref: str = "A") -> prometheus.Dataquery:
    return over_time(expression, legend, ref).instant()


def rows(expression: str, ref: str = "A") -> prometheus.Dataquery:
    """Its samples at this moment, labels as columns."""
    return now(expression, ref=ref).format(PromQueryFormat.TABLE)


def over_time(expression: str, legend: str = "", ref: str = "A") -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(ref).expr(expression).legend_format(legend).datasource(DATASOURCE)


def newest_value() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"])


def thresholds(*steps: tuple[str, float | None]) -> Builder[models.ThresholdsConfig]:
    """Colours with the value each begins at; the first has none."""
    return (
        builders.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(color=colour, value=value) for colour, value in steps])
    )


def fixed(colour: str) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def number(
    title: str, description: str, expression: str, unit: str, *steps: tuple[str, float | None], width: int = 4
) -> stat.Panel:
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .with_target(now(expression))
        .reduce_options(newest_value())
        .unit(unit)
        .thresholds(thresholds(*steps))
        .no_value("nothing yet")
        .span(width)
        .height(4)
    )


def lines(
    title: str,
    description: str,
    targets: Sequence[prometheus.Dataquery],
    unit: str = "short",
    *,
    width: int = 8,
    least: float | None = 0,
) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .targets(list(targets))
        .unit(unit)
        .no_value("nothing yet")
        .span(width)
        .height(8)
    )
    return panel if least is None else panel.min(least)


def stacked(
    title: str, description: str, target: prometheus.Dataquery, colours: dict[str, str] | None = None, *, width: int = 8
) -> timeseries.Panel:
    """Counts of one whole, one above the other."""
    panel = (
        lines(title, description, [target], width=width)
        .stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
        .fill_opacity(25)
        .decimals(0)
    )
    for name, colour in (colours or {}).items():
        panel.override_by_name(name, [fixed(colour)])
    return panel


def bars(title: str, description: str, target: prometheus.Dataquery, unit: str, *, width: int = 12) -> bargauge.Panel:
    return (
        bargauge.Panel()
        .title(title)
        .description(description)
        .with_target(target)
        .unit(unit)
        .min(0)
        .reduce_options(newest_value())
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .thresholds(thresholds((BLUE, None)))
        .no_value("not measured")
        .span(width)
        .height(9)
    )


def verdict_number(selector: str) -> str:
    """PromQL for each cell's verdict as its place in `VERDICTS`, from 1; `selector` is what goes between braces."""
    parts = (
        f'{place} * fitmatrix_cell_verdict{{verdict="{verdict}",{selector}}}'
        for place, verdict in enumerate(VERDICTS, start=1)
    )
    return f"sum without (verdict) ({' or '.join(parts)})"


def verdict_mappings() -> list[models.ValueMapping]:
    """Of that number: symbol, word and colour."""
    return [
        models.ValueMap(
            options={
                str(place): models.ValueMappingResult(text=text, color=colour, index=place)
                for place, (text, colour) in enumerate(VERDICTS.values(), start=1)
            }
        )
    ]


def grid(title: str, description: str, expression: str, row: str, column: str, *, height: int = 10) -> table.Panel:
    """Verdicts by two labels, as a matrix."""
    layout = {"rowField": row, "columnField": column, "valueField": "Value", "emptyValue": "null"}
    background = models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-background"})
    return (
        table.Panel()
        .title(title)
        .description(description)
        .with_target(rows(expression))
        .with_transformation(models.DataTransformerConfig(id_val="groupingToMatrix", options=layout))
        .mappings(verdict_mappings())
        .override_by_field_type("number", [background])
        .span(WIDTH)
        .height(height)
    )


def listing(
    title: str,
    description: str,
    targets: Sequence[prometheus.Dataquery],
    columns: Sequence[str],
    link: tuple[str, str, str] | None = None,
    *,
    width: int = WIDTH,
    height: int = 9,
) -> table.Panel:
    """Rows with these columns in this order; `link` is of a column: its name, a title and an address."""
    panel = table.Panel().title(title).description(description).targets(list(targets)).span(width).height(height)
    if len(targets) > 1:
        panel.with_transformation(models.DataTransformerConfig(id_val="merge", options={}))
    chosen = {"include": {"names": list(columns)}}
    panel.with_transformation(models.DataTransformerConfig(id_val="filterFieldsByName", options=chosen))
    order = {"indexByName": {name: place for place, name in enumerate(columns)}}
    panel.with_transformation(models.DataTransformerConfig(id_val="organize", options=order))
    if link is not None:
        column, text, url = link
        address = {"title": text, "url": url, "targetBlank": True}
        panel.override_by_name(column, [models.DynamicConfigValue(id_val="links", value=[address])])
    return panel


def verdict_column(panel: table.Panel, column: str) -> table.Panel:
    """Its numbers as verdicts."""
    return panel.override_by_name(
        column,
        [
            models.DynamicConfigValue(id_val="displayName", value="verdict"),
            models.DynamicConfigValue(id_val="mappings", value=verdict_mappings()),
            models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-background"}),
        ],
    )
