"""Reading an audience file: what it means, and what is said of each mistake."""

import pytest

from orchestrator.domain.audience import MOST_SEGMENTS, read_audience
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.selector import Selector

CLASSES = ("flagship phone", "low-end phone")


def test_classes_become_segments() -> None:
    low, high = read_audience("class,share\r\nlow-end phone,40\r\nflagship phone, 25.5 %\r\n\r\n", CLASSES)
    assert (low.name, low.selector, low.share) == ("low-end phone", '"low-end phone" in classes', 0.4)
    assert (high.name, high.share) == ("flagship phone", 0.255)


def test_facts_become_selectors_that_work() -> None:
    text = (
        "\ufeffos,ram_gib,gpu.vendor,emulated,share\nandroid,<4.1,arm,false,30\nandroid,4.1-8.1,,,10\n,16,,,5\n,,,,1\n"
    )
    segments = read_audience(text, ())
    assert [segment.selector for segment in segments] == [
        'os == "android" && ram_gib < 4.1 && gpu.vendor == "arm" && emulated == false',
        'os == "android" && ram_gib >= 4.1 && ram_gib < 8.1',
        "ram_gib == 16.0",
        "true",
    ]
    assert [segment.name for segment in segments] == [
        "os android, ram_gib <4.1, gpu.vendor arm, emulated false",
        "os android, ram_gib 4.1-8.1",
        "ram_gib 16",
        "every device",
    ]
    for segment in segments:
        Selector(segment.selector)


def test_text_of_an_audience_stays_text() -> None:
    (segment,) = read_audience('cpu_model,share\n"odd "" || true \\ x",5\n', ())
    assert segment.selector == r'cpu_model == "odd \" || true \\ x"'
    Selector(segment.selector)


@pytest.mark.parametrize(
    ("text", "field", "allowed"),
    [
        ("", "row 1", "a header"),
        ("class,share\n", "row 2", "a line for each"),
        ("class;share\nlow-end phone;40\n", "row 1", "not by semicolons"),
        ("class\tshare\nlow-end phone\t40\n", "row 1", "not by tabs"),
        ("class\nlow-end phone\n", "row 1", "`share`"),
        ("share\n40\n", "row 1", "`class`"),
        ("class,share,share\nlow-end phone,1,2\n", "row 1, column share", "each column once"),
        ("hat,share\nred,40\n", "row 1, column hat", "`class`, `share` or one of"),
        ("browser,share\nchrome,40\n", "row 1, column browser", "`class`, `share` or one of"),
        ("class,share\nlow-end phone\n", "row 2", "2 columns"),
        ("class,share\nmid phone,40\n", "row 2, column class", "flagship phone, low-end phone"),
        ("class,share\n,40\n", "row 2, column class", "flagship phone, low-end phone"),
        ("class,share\nlow-end phone,many\n", "row 2, column share", "percent from 0 to 100"),
        ("class,share\nlow-end phone,-1\n", "row 2, column share", "percent from 0 to 100"),
        ("class,share\nlow-end phone,101\n", "row 2, column share", "percent from 0 to 100"),
        ("class,share\nlow-end phone,nan\n", "row 2, column share", "percent from 0 to 100"),
        ("class,share\nlow-end phone,60\nflagship phone,41\n", "column share", "at most 100 %"),
        ("class,share\nlow-end phone,1\nlow-end phone,2\n", "rows", "once"),
        ("ram_gib,share\nlots,5\n", "row 2, column ram_gib", "a bound such as"),
        ("os_api_level,share\n33.5,5\n", "row 2, column os_api_level", "a bound such as"),
        ("emulated,share\nperhaps,5\n", "row 2, column emulated", "true or false"),
        ("class,share\n" + "low-end phone,0\n" * (MOST_SEGMENTS + 1), "rows", f"at most {MOST_SEGMENTS}"),
        (",".join(f"c{n}" for n in range(30)) + "\n1\n", "row 1", "at most 20 columns"),
    ],
)
def test_a_mistake_is_named_by_row_and_column(text: str, field: str, allowed: str) -> None:
    with pytest.raises(InvalidRequestError, match="nothing was stored") as caught:
        read_audience(text, CLASSES)
    assert any(one.field == field and allowed in one.allowed for one in caught.value.fields), caught.value.fields


@pytest.mark.parametrize(
    ("text", "field"),
    [("os,share\nand\0roid,1\n", "row 2"), ('os,share\n\n"' + "x" * 140_000 + '",1\n', "row 3")],
)
def test_what_no_table_holds_is_refused(text: str, field: str) -> None:
    with pytest.raises(InvalidRequestError, match="nothing was stored") as caught:
        read_audience(text, [])
    assert [one.field for one in caught.value.fields] == [field]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_any_system_ends_them(end: str) -> None:
    (one, other) = read_audience(f"os,share{end}android,60{end}ios,40{end}", [])
    assert (one.name, other.share) == ("os android", 0.4)


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_audience("class,share\nmid phone,40\nlow-end phone,x\n", CLASSES)
    assert [one.field for one in caught.value.fields] == ["row 2, column class", "row 3, column share"]


def test_a_lab_without_classes_says_so() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_audience("class,share\nlow-end phone,40\n", ())
    assert "no device classes" in caught.value.fields[0].allowed
