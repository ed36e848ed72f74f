"""A site's visitors by kind of device, from a CSV file."""

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from orchestrator.contract.audience import AudienceSegment
from orchestrator.contract.views import ProblemField
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.selector import SAMPLE

MOST_SEGMENTS: Final = 500
MOST_COLUMNS: Final = 20
_CLASS: Final = "class"
_SHARE: Final = "share"
_TOLERANCE: Final = 1e-6
_BOUND: Final = re.compile(r"^(<=|>=|<|>)?\s*(-?\d+(?:\.\d+)?)$")
_RANGE: Final = re.compile(r"^(\d+(?:\.\d+)?)\s*(?:-|–|\.\.)\s*(\d+(?:\.\d+)?)$")
_OTHER_DELIMITERS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Audience:
    name: str
    segments: tuple[AudienceSegment, ...]
    created_at: datetime
    created_by: str


def read_audience(text: str, classes: Collection[str]) -> tuple[AudienceSegment, ...]:
    """The segments of a CSV file; `classes` are those of the lab.

    Raises InvalidRequestError naming every row and column that is wrong.
    """
    rows = _rows(text)
    if not rows:
        raise _refused([_wrong("row 1", "", "a header such as `class,share`")])
    header = [name.lower() if name.lower() in (_CLASS, _SHARE) else name for name in rows[0][1]]
    _check_header(header)
    if len(rows) == 1:
        raise _refused([_wrong("row 2", "", "a line for each kind of device below the header")])
    if len(rows) - 1 > MOST_SEGMENTS:
        raise _refused([_wrong("rows", str(len(rows) - 1), f"at most {MOST_SEGMENTS} lines below the header")])
    problems: list[ProblemField] = []
    segments: list[AudienceSegment] = []
    for number, row in rows[1:]:
        if len(row) != len(header):
            problems.append(_wrong(f"row {number}", ",".join(row), f"{len(header)} columns, as the header has"))
            continue
        values = dict(zip(header, row, strict=True))
        share = _share(values.pop(_SHARE), f"row {number}, column {_SHARE}", problems)
        conditions = [
            _condition(column, value, f"row {number}, column {column}", classes, problems)
            for column, value in values.items()
            if value or column == _CLASS
        ]
        name = ", ".join(
            value if column == _CLASS else f"{column} {value}" for column, value in values.items() if value
        )
        selector = " && ".join(condition for condition in conditions if condition) or "true"
        segments.append(AudienceSegment(name=name or "every device", selector=selector, share=share))
    problems += _doubled(segments)
    total = sum(segment.share for segment in segments)
    if not problems and total > 1 + _TOLERANCE:
        problems.append(_wrong(f"column {_SHARE}", f"{total * 100:g} % in all", "shares of at most 100 % in all"))
    if problems:
        raise _refused(problems)
    return tuple(segments)


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """The lines that are not empty, with their numbers, whatever ends them."""
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=None), strict=False)
    found: list[tuple[int, list[str]]] = []
    number = 0
    try:
        for number, row in enumerate(lines, start=1):
            values = [value.strip() for value in row]
            if "\0" in "".join(values):
                raise _refused([_wrong(f"row {number}", ",".join(values), "text without NUL characters")])
            if any(values):
                found.append((number, values))
    except csv.Error as error:
        allowed = f"lines of a CSV file; this one has a {error}"
        raise _refused([_wrong(f"row {number + 1}", "", allowed)]) from error
    return found


def _check_header(header: Sequence[str]) -> None:
    where = "row 1"
    only = header[0] if len(header) == 1 else ""
    for delimiter, name in _OTHER_DELIMITERS.items():
        if delimiter in only:
            raise _refused([_wrong(where, only, f"columns separated by commas, not by {name}")])
    problems = [_wrong(f"{where}, column {name}", name, "each column once") for name in _repeated(header)]
    if _SHARE not in header:
        problems.append(_wrong(where, ",".join(header), f"a column `{_SHARE}`, in percent"))
    if len(header) > MOST_COLUMNS:
        problems.append(_wrong(where, f"{len(header)} columns", f"at most {MOST_COLUMNS} columns"))
    others = [name for name in header if name != _SHARE]
    if not others:
        problems.append(_wrong(where, ",".join(header), f"a column `{_CLASS}`, or columns of facts such as `os`"))
    problems += [
        _wrong(f"{where}, column {name}", name, f"`{_CLASS}`, `{_SHARE}` or one of {_facts()}")
        for name in others
        if name != _CLASS and _sample(name) is None
    ]
    if problems:
        raise _refused(problems)


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _sample(path: str) -> object:
    """A value of the fact at a dotted path; None where there is no such fact of one value."""
    found: object = SAMPLE
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if isinstance(found, str | bool | int | float) else None


def _facts() -> str:
    names = [name for name, value in SAMPLE.items() if isinstance(value, str | bool | int | float)]
    return ", ".join([*sorted(names), "gpu.vendor", "browser.name"])


def _share(value: str, where: str, problems: list[ProblemField]) -> float:
    allowed = "a number of percent from 0 to 100, such as 12.5"
    try:
        percent = float(value.removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:  # not-a-number is neither
        problems.append(_wrong(where, value, allowed))
        return 0.0
    return percent / 100


def _condition(
    column: str, value: str, where: str, classes: Collection[str], problems: list[ProblemField]
) -> str | None:
    if column == _CLASS:
        if value not in classes:
            known = f"a device class of the lab: {', '.join(sorted(classes))}" if classes else (
                "columns of facts such as `os`: the lab file has no device classes"
            )  # fmt: skip
            problems.append(_wrong(where, value, known))
            return None
        return f"{_quoted(value)} in classes"
    sample = _sample(column)
    if isinstance(sample, bool):
        if value.lower() not in ("true", "false"):
            problems.append(_wrong(where, value, "true or false"))
            return None
        return f"{column} == {value.lower()}"
    if isinstance(sample, str):
        return f"{column} == {_quoted(value)}"
    bound, both = _BOUND.match(value), _RANGE.match(value)
    number = float if isinstance(sample, float) else int
    try:
        if bound:
            return f"{column} {bound[1] or '=='} {number(bound[2])!r}"
        if both:
            return f"{column} >= {number(both[1])!r} && {column} < {number(both[2])!r}"
    except ValueError:
        pass
    problems.append(_wrong(where, value, "a number, a bound such as <4.1 or >=8, or a range such as 4-8"))
    return None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _doubled(segments: Sequence[AudienceSegment]) -> list[ProblemField]:
    names = _repeated([segment.name for segment in segments])
    return [_wrong("rows", name, "each kind of device once") for name in names]


def _wrong(where: str, value: str, allowed: str) -> ProblemField:
    return ProblemField(field=where, value=value[:200], allowed=allowed)


def _refused(problems: Sequence[ProblemField]) -> InvalidRequestError:
    return InvalidRequestError("The audience file cannot be used; nothing was stored.", problems[:100])
