"""A gate's result for the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.cli.gate import Finding, GateResult, Outcome
from orchestrator.cli.listings import listing
from orchestrator.presentation.words import plain

_SYMBOLS = {Outcome.BROKEN: "✘", Outcome.UNMEASURED: "?"}
_STYLES = {Outcome.MET: "green", Outcome.BROKEN: "red", Outcome.UNMEASURED: "yellow"}
_WORDS = {Outcome.MET: "holds", Outcome.BROKEN: "is broken", Outcome.UNMEASURED: "is open: not all of it was measured"}


def gate_renderable(result: GateResult, path: Path) -> RenderableType:
    """One sentence, then what is broken and what could not be judged."""
    met = len(result.of(Outcome.MET))
    head = f"Gate {path} {_WORDS[result.outcome]}. Requirements met: {met} of {len(result.findings)}."
    lines: list[RenderableType] = [Text(head, style=_STYLES[result.outcome])]
    shown = [*result.of(Outcome.BROKEN), *result.of(Outcome.UNMEASURED)]
    if shown:
        lines.append(_table(shown))
    return Group(*lines)


def _table(findings: Sequence[Finding]) -> RenderableType:
    table = listing(["", "rule", "where", "required", "measured"])
    table.columns[3].no_wrap = True
    for one in findings:
        where = one.cell.label if one.cell else "–"
        symbol = Text(_SYMBOLS[one.outcome], style=_STYLES[one.outcome])
        table.add_row(symbol, *map(Text, (plain(one.rule), where, one.requirement or "–", plain(one.said))))
    return table


def gate_json(result: GateResult) -> dict[str, Any]:
    """The same for programs."""
    return {
        "outcome": result.outcome.value,
        "findings": [
            {
                "rule": one.rule,
                "outcome": one.outcome.value,
                "requirement": one.requirement,
                "measured": one.said,
                "variant": one.cell and one.cell.variant,
                "backend": one.cell and one.cell.backend.value,
                "device": one.cell and one.cell.device_id,
                "browser": one.cell and one.cell.browser,
            }
            for one in result.findings
        ],
    }
