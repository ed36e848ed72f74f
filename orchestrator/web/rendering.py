"""Templates and the words they may use."""

from datetime import UTC, datetime
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from orchestrator.contract import quantities
from orchestrator.contract.views import RunView
from orchestrator.contract.vocabulary import Mark
from orchestrator.presentation import (
    cell_facts,
    changes,
    device_facts,
    heat_map,
    measurements,
    probe_facts,
    reach_curve,
    run_facts,
    words,
)
from orchestrator.presentation.fault_words import FAULT_ADVICE, FAULT_MEANINGS
from orchestrator.presentation.legend import heat_legend
from orchestrator.web.assets import asset_address

NAVIGATION: Final = (
    ("/", "Matrix"),
    ("/audiences", "Audiences"),
    ("/compare", "Compare"),
    ("/jobs", "Jobs"),
    ("/devices", "Devices"),
)
"""What the head of every page leads to."""


def render(template: str, **context: Any) -> str:
    return _environment.get_template(template).render(context)


def moment(value: datetime | None) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if value else "–"


def _pair(word: str) -> tuple[str, str]:
    """A choice that is shown as what it is."""
    return word, word


def outcome(run: RunView) -> str:
    """Symbol and verdict, or the state of a run without one."""
    if run.verdict is None:
        return run.state.value
    said = words.verdict_words(run.verdict, run.fault.code if run.fault else None)
    phase = f" @{run.phase.value}" if run.fault and run.phase else ""
    throttled = f" {words.THROTTLED}" if Mark.THROTTLED in run.marks else ""
    reused = f" {words.REUSED}" if run.reused_from else ""
    return f"{words.verdict_symbol(run.verdict)} {said}{phase}{throttled}{reused}"


_environment: Final = Environment(
    loader=PackageLoader("orchestrator.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(
    plain=words.plain, moment=moment, byte_count=quantities.byte_count, seconds=quantities.seconds, pair=_pair
)
_environment.globals.update(
    asset=asset_address,
    heat_legend=heat_legend,
    all_figures=cell_facts.all_figures,
    key_figures=cell_facts.key_figures,
    cell_facts=cell_facts.cell_facts,
    percent=quantities.percent,
    percent_interval=quantities.percent_interval,
    verdict_symbol=words.verdict_symbol,
    verdict_words=words.verdict_words,
    SYMBOLS=words.SYMBOLS,
    VERDICT_WORDS=words.VERDICT_WORDS,
    POOLED=heat_map.POOLED,
    IMPORTED=heat_map.IMPORTED,
    outcome=outcome,
    figure_facts=run_facts.figure_facts,
    validation_words=run_facts.validation_words,
    environment_facts=run_facts.environment_facts,
    output_facts=run_facts.output_facts,
    download_rows=measurements.download_rows,
    load_rows=measurements.load_rows,
    memory_rows=measurements.memory_rows,
    sample_lines=measurements.sample_lines,
    probe_facts=probe_facts.probe_facts,
    device_probe_facts=probe_facts.device_probe_facts,
    probe_summary=probe_facts.probe_summary,
    workload_words=words.workload_words,
    limits_facts=words.limits_facts,
    variants_words=words.variants_words,
    reused_words=run_facts.reused_words,
    no_cells_words=words.no_cells_words,
    clock_words=run_facts.clock_words,
    health_rows=run_facts.health_rows,
    HEALTH_RUN=run_facts.HEALTH_RUN,
    MARKED_THROTTLED=run_facts.MARKED_THROTTLED,
    browser_words=device_facts.browser_words,
    custody_facts=device_facts.custody_facts,
    hardware_lines=device_facts.hardware_lines,
    health_facts=device_facts.health_facts,
    health_lines=device_facts.health_lines,
    quarantine_facts=device_facts.quarantine_facts,
    system_words=device_facts.system_words,
    EMULATED=words.EMULATED,
    SYNTHETIC=words.SYNTHETIC,
    NO_RUN=words.NO_RUN,
    FAULT_ADVICE=FAULT_ADVICE,
    FAULT_MEANINGS=FAULT_MEANINGS,
    NAVIGATION=NAVIGATION,
    CURVE=reach_curve,
    CHANGE_SIGNS=changes.CHANGE_SIGNS,
    VARIED_WORDS=changes.VARIED_WORDS,
)
