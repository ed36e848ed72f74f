"""The lab file: device classes, pools and maintenance windows as YAML, read again when it changes.

classes:
  - name: low-end phone
    description: 4 GiB or less
    selector: os == "android" && ram_gib <= 4
pools:
  - {name: phones, selector: os == "android", limit: 8}
maintenance:
  - {name: updates, days: [sun], from: "02:00", until: "05:00", timezone: Europe/Berlin}
"""

import logging
import os
import threading
from collections.abc import Iterable
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from orchestrator.contract.job import Expression
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.lab_plan import MOST_DAYS, DeviceClass, LabPlan, Pool, Window
from orchestrator.domain.selector import SAMPLE, Selector

log = logging.getLogger(__name__)

MAX_BYTES: Final = 1_000_000
_CLASS_SAMPLE: Final = {name: value for name, value in SAMPLE.items() if name != "classes"}
_WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MIDNIGHT: Final = time()

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}$")]
Words = Annotated[str, StringConstraints(max_length=1_000)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
FieldPath = tuple[str | int, ...]


class LabFileError(ValueError):
    """The lab file cannot be used; the text names the file, the line, the field, and the column of an expression."""


class _Declaration(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Class(_Declaration):
    name: Name
    selector: Expression
    description: Words = ""


class _Pool(_Declaration):
    name: Name
    selector: Expression
    limit: int = Field(ge=1, le=100_000)


class _Window(_Declaration):
    name: Name
    selector: Expression = "true"
    days: list[Day] = Field(default=list(_WEEK), min_length=1, max_length=7)
    opens: time | None = Field(default=None, alias="from")
    closes: time | None = Field(default=None, alias="until")
    first_day: date | None = None
    last_day: date | None = None
    timezone: Annotated[str, StringConstraints(min_length=1, max_length=100)]

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {name}: one such as Europe/Berlin, or UTC") from error
        return name

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if (self.opens is None) != (self.closes is None):
            raise ValueError("`from` and `until` belong together; without both it is whole days")
        if self.opens is not None and (self.opens == self.closes or self.opens.tzinfo or self.closes.tzinfo):  # type: ignore[union-attr]  # the two are there together
            raise ValueError("`from` and `until` are two different times of the clock such as 22:00 and 06:00")
        if self.first_day and self.last_day and not 0 <= (self.last_day - self.first_day).days < MOST_DAYS:
            raise ValueError("`last_day` is not before `first_day`, and at most ten years after it")
        if (
            self.opens is None
            and len(set(self.days)) == len(_WEEK)
            and (self.first_day is None or self.last_day is None)
        ):
            raise ValueError("it would never end: give `days`, or `from` and `until`, or `first_day` and `last_day`")
        return self


class _Lab(_Declaration):
    classes: list[_Class] = Field(default_factory=list, max_length=100)
    pools: list[_Pool] = Field(default_factory=list, max_length=100)
    maintenance: list[_Window] = Field(default_factory=list, max_length=100)


class LabFile:
    """The plan that is in force. A version that cannot be used is refused with a line in the log; the old one stays."""

    def __init__(self, path: Path) -> None:
        """Raises LabFileError for a first version that cannot be used."""
        self._path = path
        self._lock = threading.Lock()
        self._seen = _stamp(path)
        self._plan = read_lab_file(path)

    def __call__(self) -> LabPlan:
        stamp = _stamp(self._path)
        if stamp == self._seen:
            return self._plan
        with self._lock:
            if stamp != self._seen:
                self._seen = stamp
                try:
                    self._plan = read_lab_file(self._path)
                    log.info("the lab file %s has changed and is in force", self._path)
                except LabFileError as error:
                    log.error(
                        "the lab file has changed and is not used, what was read before stays in force: %s", error
                    )
            return self._plan


def _stamp(path: Path) -> tuple[int, ...]:
    """What differs from one version of a file to the next; nothing where it cannot be looked at."""
    try:
        found = os.stat(path)  # noqa: PTH116 - asked at every dispatch, and cheaper so
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def read_lab_file(path: Path) -> LabPlan:
    """Raises LabFileError with everything that is wrong, a line each."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise LabFileError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise LabFileError(f"{path} is larger than {MAX_BYTES // 1000} kB: that is no lab file")
    reader = _Reader(path)
    try:
        # All scalars are texts, so that 22:00 is no number and `no` is not false; the fields say what they are.
        node = yaml.compose(content.decode("utf-8-sig"), Loader=yaml.BaseLoader)
        value = reader.value(node, ()) if node is not None else {}
    except UnicodeDecodeError as error:
        raise LabFileError(f"{path} is not UTF-8 text: byte {error.start} is {content[error.start]:#04x}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise LabFileError(f"{path}{place}: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise LabFileError(f"{path} is not YAML: {' '.join(str(error).split())[:300]}") from error
    try:
        lab = _Lab.model_validate(value)
    except ValidationError as error:
        raise LabFileError(
            "\n".join(reader.complaint(one["loc"], _said(one)) for one in error.errors()[:20])
        ) from error
    return _plan(lab, reader)


def _said(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such field: remove it or correct its name"
    return str(error["msg"]).removeprefix("Value error, ")


def _plan(lab: _Lab, reader: "_Reader") -> LabPlan:
    wrong: list[str] = []
    declared = [one.name for one in lab.classes]

    def selector(where: FieldPath, expression: str, sample: dict[str, Any]) -> Selector:
        try:
            return Selector(expression, sample=sample, most_seconds=None, classes=declared)
        except InvalidRequestError as error:
            said = error.fields[0].allowed.removeprefix("a CEL expression: ")
            wrong.append(reader.complaint((*where, "selector"), said))
            return Selector("false")

    for section in ("classes", "pools", "maintenance"):
        names = [one.name for one in getattr(lab, section)]
        wrong += [
            reader.complaint((section, index, "name"), f"{name} is there twice")
            for index, name in enumerate(names)
            if name in names[:index]
        ]
    plan = LabPlan(
        classes=tuple(
            DeviceClass(one.name, selector(("classes", index), one.selector, _CLASS_SAMPLE), one.description)
            for index, one in enumerate(lab.classes)
        ),
        pools=tuple(
            Pool(one.name, one.limit, selector(("pools", index), one.selector, SAMPLE))
            for index, one in enumerate(lab.pools)
        ),
        windows=tuple(
            Window(
                one.name,
                selector(("maintenance", index), one.selector, SAMPLE),
                ZoneInfo(one.timezone),
                frozenset(map(_WEEK.index, one.days)),
                one.opens or _MIDNIGHT,
                one.closes or _MIDNIGHT,
                one.first_day,
                one.last_day,
            )
            for index, one in enumerate(lab.maintenance)
        ),
    )
    if wrong:
        raise LabFileError("\n".join(wrong))
    return plan


class _Reader:
    """Turns nodes into values and remembers the line of each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[FieldPath, int] = {}
        self._nodes: set[int] = set()

    def value(self, node: yaml.Node, path: FieldPath) -> Any:
        self._lines[path] = node.start_mark.line + 1
        if id(node) in self._nodes:
            raise yaml.MarkedYAMLError(problem="aliases are not read: write it out", problem_mark=node.start_mark)
        self._nodes.add(id(node))
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return node.value

    def _pairs(self, node: yaml.MappingNode, path: FieldPath) -> Iterable[tuple[str, Any]]:
        seen: set[str] = set()
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in seen:
                raise yaml.MarkedYAMLError(problem="each key is a word, and is there once", problem_mark=key.start_mark)
            seen.add(key.value)
            yield key.value, self.value(item, (*path, key.value))

    def complaint(self, where: FieldPath, said: str) -> str:
        """`lab.yaml, line 7, classes[1].selector: column 12: …`."""
        known = where
        while known and known not in self._lines:
            known = known[:-1]
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).removeprefix(".")
        return f"{self._path}, line {self._lines.get(known, 1)}, {field or 'the file'}: {said}"
