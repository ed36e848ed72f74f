"""A job as a YAML file: plain data, bounded, every complaint with its place.

The file is read as JSON-like YAML: no tags, anchors or aliases, so that a small file cannot become a large value.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import yaml

MAX_BYTES: Final = 1_000_000
MAX_DEPTH: Final = 32
_FIELD_PARTS: Final = re.compile(r"[^.\[\]]+")

JobValue = dict[str, Any]
FieldPath = tuple[str, ...]


class JobFileError(ValueError):
    """The file is not a job: one sentence with line and column where there is one."""


@dataclass(frozen=True)
class JobFile:
    value: JobValue
    lines: dict[FieldPath, int]

    def line_of(self, field: str) -> int | None:
        """The line of a field such as `workload.text-generation.prompt_tokens`, or of what should have held it."""
        path = tuple(_FIELD_PARTS.findall(field))
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path) if path else None


def read_job_file(path: Path) -> JobFile:
    """Raises JobFileError."""
    try:
        with path.open("rb") as stream:
            return parse_job(stream, str(path))
    except OSError as error:
        raise JobFileError(f"cannot read {path}: {error.strerror or error}") from error


def parse_job(stream: BinaryIO, name: str) -> JobFile:
    """Reads a whole stream; `name` is what complaints call it. Raises JobFileError."""
    content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise JobFileError(f"{name} is larger than {MAX_BYTES // 1000} kB: that is no job")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JobFileError(f"{name} is not UTF-8 text: byte {error.start} is {content[error.start]:#04x}") from error
    try:
        node = yaml.compose(text, Loader=_JobLoader)
        if node is None:
            raise JobFileError(f"{name} is empty")
        reader = _Reader()
        value = reader.value(node, ())
    except yaml.MarkedYAMLError as error:
        said = ": ".join(part for part in (error.context, error.problem) if part)
        raise JobFileError(f"{name}{_place(error.problem_mark or error.context_mark)}: {said}") from error
    except yaml.YAMLError as error:
        raise JobFileError(f"{name} is not YAML: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(value, dict):
        raise JobFileError(
            f"{name}: expected a mapping of fields such as `name: nightly`, not one plain value or a list"
        )
    return JobFile(value, reader.lines)


def _place(mark: yaml.Mark | None) -> str:
    return f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""


class _JobLoader(yaml.SafeLoader):
    """Composes nodes with JSON's scalars only: no dates, no `no` for false, no numbers to the base of 60."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's interface
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML is untyped
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _complaint("anchors and aliases are not read: write the value out", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise _complaint("tags are not read: write the plain value", event.start_mark)
        if self._depth > MAX_DEPTH:
            raise _complaint(f"nested more than {MAX_DEPTH} deep", event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


_NULL, _BOOL, _INT, _FLOAT = (f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))
for _tag, _pattern, _starts in (
    (_NULL, r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    (_BOOL, r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    (_INT, r"^[-+]?[0-9]{1,18}$", list("-+0123456789")),
    (_FLOAT, r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
):
    _JobLoader.add_implicit_resolver(_tag, re.compile(_pattern), _starts)


class _Reader:
    """Turns nodes into values and remembers where each came from."""

    def __init__(self) -> None:
        self.lines: dict[FieldPath, int] = {}

    def value(self, node: yaml.Node, path: FieldPath) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, str(index))) for index, item in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: FieldPath) -> JobValue:
        value: JobValue = {}
        for key_node, item in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _complaint("a key must be a plain word", key_node.start_mark)
            key = str(key_node.value)
            if key in value:
                raise _complaint(f"{key!r} is given twice", key_node.start_mark)
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            value[key] = self.value(item, (*path, key))
        return value


def _scalar(node: yaml.Node) -> Any:
    text = str(node.value)
    if node.tag == _NULL:
        return None
    if node.tag == _BOOL:
        return text.lower() == "true"
    if node.tag == _INT:
        return int(text)
    if node.tag == _FLOAT:
        number = float(text)
        if not math.isfinite(number):
            raise _complaint(f"{text[:40]} is not a finite number", node.start_mark)
        return number
    return text


def _complaint(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
