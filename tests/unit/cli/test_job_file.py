"""Jobs as YAML: plain data in, a place in every complaint."""

import io
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.job_file import MAX_BYTES, JobFile, JobFileError, parse_job, read_job_file

JOB = """\
# A comment.
name: 2026-01-01
variants: [a, "b"]
workload:
  text-generation:
    prompt_tokens: 32
criteria: {max_ttft_seconds: 1.5e1}
labels:
  answer: "42"
  country: no
  time: 1:20
  empty:
"""


def parse(content: str | bytes) -> JobFile:
    return parse_job(io.BytesIO(content.encode() if isinstance(content, str) else content), "job.yaml")


def complaint(content: str | bytes) -> str:
    with pytest.raises(JobFileError) as caught:
        parse(content)
    return str(caught.value)


def test_values_are_those_of_json() -> None:
    assert parse(JOB).value == {
        "name": "2026-01-01",
        "variants": ["a", "b"],
        "workload": {"text-generation": {"prompt_tokens": 32}},
        "criteria": {"max_ttft_seconds": 15.0},
        "labels": {"answer": "42", "country": "no", "time": "1:20", "empty": None},
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("-3", -3), ("0.5", 0.5), ("~", None), ("yes", "yes"), ("0x10", "0x10"), ("1_000", "1_000")],
)
def test_scalars_have_one_spelling(text: str, value: Any) -> None:
    read = parse(f"a: {text}").value["a"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("name", 2),
        ("variants[1]", 3),
        ("workload.text-generation.prompt_tokens", 6),
        ("workload.text-generation.missing", 5),
        ("nowhere", None),
        ("", None),
    ],
)
def test_a_field_is_found_in_the_file(field: str, line: int | None) -> None:
    assert parse(JOB).line_of(field) == line


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        ("a: [1,\nb: }", "line 2, column 4", "expected the node content"),
        ("\tname: x", "line 1, column 1", "cannot start any token"),
        ("a: 1\na: 2", "line 2, column 1", "given twice"),
        ("a: &x [1]", "line 1, column 4", "anchors and aliases"),
        ("a: *x", "line 1, column 4", "anchors and aliases"),
        ("a: !!python/object/apply:os.system [ls]", "line 1, column 4", "tags are not read"),
        ("a: 1e999", "line 1, column 4", "not a finite number"),
        ("? [x]\n: 1", "line 1, column 3", "a key must be a plain word"),
        ("a: 1\n---\nb: 2", "line 2, column 1", "another document"),
        ("a: " + "[" * 100_000, "column", "deep"),
        ("- a", "", "expected a mapping of fields"),
        ("just words", "", "expected a mapping of fields"),
        ("", "", "empty"),
        ("a: \x00", "", "not YAML"),
        (b"a: \xff", "", "not UTF-8"),
    ],
)
def test_a_complaint_names_file_place_and_reason(content: str | bytes, place: str, words: str) -> None:
    said = complaint(content)
    assert said.startswith("job.yaml")
    assert place in said
    assert words in said
    assert "\n" not in said


def test_a_bomb_of_aliases_does_not_go_off() -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    assert "anchors and aliases" in complaint(bomb)


def test_the_size_is_bounded() -> None:
    assert "larger than" in complaint(b"#" * (MAX_BYTES + 1))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(JobFileError, match=str(path)):
            read_job_file(path)
