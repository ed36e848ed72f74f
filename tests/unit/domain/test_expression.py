"""Complaints about selectors name the column, and no expression harms the coordinator."""

import time

import pytest

from orchestrator.contract.device import Gpu
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.expression import MAX_DEPTH, MAX_TERMS, Expression, ExpressionError
from orchestrator.domain.selector import SAMPLE, Selector, selectable_facts
from tests.unit.domain.builders import BROWSER, adapter, device, device_probe

FACTS = selectable_facts(device(gpus=[Gpu(name="Arc")]), BROWSER, device_probe(adapter=adapter(limits={"x": 7})))


def complaint(expression: str) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        Selector(expression).matches(FACTS)
    (field,) = caught.value.fields
    assert field.field == "devices"
    return field.allowed.removeprefix("a CEL expression: ")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("ram_gib <", "column 10: it ends too early"),
        ('os = "android"', "column 4: `=` does not belong here"),
        ('os == "android', "column 7: "),
        ("(os == 'linux'", "column 15: "),
        ("os == 'linux')", "column 14: `)` does not belong here"),
        ("\nos == 'linux' &&\n  && webgpu", "line 3, column 3: "),
    ],
)
def test_syntax(expression: str, said: str) -> None:
    assert complaint(expression).startswith(said)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("vendor == 'arm'", "column 1: there is no vendor; there are: arch, "),
        ("os == 'linux' || vendr == 'arm'", "column 18: there is no vendr"),
        ("webgpu && gpu.vendr == 'arm'", "column 15: there is no gpu.vendr; there are: allocated_bytes, "),
        ("gpu.limits.maxBuffer > 1", "column 12: there is no maxBuffer"),
        ("gpus.exists(card, card.name == 'x' || card.memry > 1)", "column 44: there is no memry"),
        ("lower(os) == 'linux'", "column 1: there is no function lower: "),
        ("os.lower() == 'linux'", "column 4: there is no function lower: "),
        ("os == 'linux' && duration('1h') > duration('1m')", "column 18: there is no function duration"),
    ],
)
def test_unknown_names(expression: str, said: str) -> None:
    assert complaint(expression).startswith(said)


@pytest.mark.parametrize(
    ("expression", "classes", "said"),
    [
        ("'low-end phone' in classes", ["low-end phone"], None),
        ("'classes' in chrome_flags && !('desk' in classes)", ["desk"], None),
        (
            "webgpu && 'low end phone' in classes",
            ["low-end phone", "desk"],
            "column 11: there is no device class low end phone; the lab file has desk, low-end phone; "
            "did you mean low-end phone?",
        ),
        ("'laptop' in classes", ["desk"], "column 1: there is no device class laptop; the lab file has desk"),
        ("r'desk' in classes || 'x\\'y' in classes", ["desk"], "column 23: there is no device class x'y; the lab file"),
        ("'a' in classes", [], "column 1: there is no device class a: the coordinator has no lab file that declares"),
    ],
)
def test_classes_are_the_labs(expression: str, classes: list[str], said: str | None) -> None:
    assert Selector(expression).matches(FACTS) in (True, False)
    if said is None:
        assert Selector(expression, classes=classes).matches(FACTS) in (True, False)
        return
    with pytest.raises(InvalidRequestError) as caught:
        Selector(expression, classes=classes)
    assert caught.value.fields[0].allowed.startswith(f"a CEL expression: {said}")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("os < 4", "column 4: "),
        ("os == 'beos' && ram_gib > 'much'", "column 25: "),
        ("webgpu || (cpus + 'x' == 'y')", "column 17: "),
        ("os_api_level == '33'", "column 14: a number is never equal to a text"),
        ("!emulated && browser.major != '156'", "column 28: a number is never equal to a text"),
        ("os", "column 1: this is a text, not true or false"),
        ("webgpu && (!probed || ram_gib)", "column 23: this is a number, not true or false"),
        ("os_version.contains('1') ? gpu : false", "column 28: "),
        ("has(gpu.limits.x) ? gpu.limits.x : probed", "it gives 7, not true or false"),
        ("gpus[7].memory_gib > 1.0", "column 5: "),
        ("1 / (os_api_level - os_api_level) > 2", "column 3: "),
    ],
)
def test_types_and_what_else_goes_wrong(expression: str, said: str) -> None:
    assert complaint(expression).startswith(said)


@pytest.mark.parametrize(
    "expression",
    [
        "os == 'android' && ram_gib <= 4",
        "os == 'linux' && ram_gib >= 4 && ram_gib >= 4.0 && cpus > 1 && os_api_level < 1.5",
        "'shader-f16' in gpu.features || gflops.wasm > 10",
        "has(gpu.limits.someNewLimit) && gpu.limits.someNewLimit > 3",
        "size(gpus) > 0 && gpus[0].memory_gib > 1.0",
        "gpus.exists(card, card.name.contains('RTX') && card.memory_gib >= 8)",
        "['a', 'b'].exists(x, x == os) || !('low-end phone' in classes)",
        "name.matches('^lab[.]d.*k$') // by name",
        "emulated ? false : webgpu",
        "device_class == 'x' || string(browser.major) == '156'",
        r"cpu_model != 'it\'s (a) \"string\" with in and && signs'",
        "wasm['simd']",
        "'Arc' in gpus.map(card, card.name)",
    ],
)
def test_what_is_right_is_let_through(expression: str) -> None:
    assert Selector(expression).matches(FACTS) in (True, False)


def chain(text: str, between: str, most: int = 1_000) -> str:
    count = (most + len(between)) // (len(text) + len(between))
    return between.join([text] * count)


HOSTILE = {
    "brackets": "(" * 499 + "true" + ")" * 497,
    "lists": "[" * 497 + "]" * 497 + "==[]",
    "maps": "{1:" * 240 + "1" + "}" * 240 + "=={}",
    "not": "!" * 996 + "true",
    "minus": "-" * 990 + "1 > 0",
    "sums": chain("1", "+", 990) + ">0",
    "ands": chain("true", "&&"),
    "ternaries": chain("true?true:", "", 990) + "true",
    "members": "gpu" + ".a" * 498,
    "indexes": "gpus" + "[0]" * 330,
    "calls": "os" + ".size()" * 140,
    "macros": "[1,1,1,1,1,1,1,1,1,1].all(a," * 30 + "true" + ")" * 30,
    "two macros": f"[{chain('1', ',', 400)}].all(a,[{chain('1', ',', 400)}].all(b,a==b))",
    "doubled lists": f"({chain('chrome_flags', '+', 400)}).exists(x,x in ({chain('chrome_flags', '+', 400)}))",
    "chained sums": f"[os]{'.map(x, x + x)' * 60}.size() > 0",
    "chained pairs": f"[os]{'.map(x,[x,x])' * 33}.size() > 0",
    "chained maps": f"[os]{'.map(x,{1:x,2:x})' * 25}.size() > 0",
    "a large pattern": "os.matches('(((((a{99}){99}){99}){99}){99})')",
    "a long pattern": f"os.matches('{'a?' * 450}{'a'}')",
    "an expensive class": r"[os].exists(x, x.matches(r'\w{99}'))",
    "many patterns": chain("os.matches('x')", "||"),
    "a pattern from a fact": "os.matches(name)",
    "a text without end": "os == '" + "\\" * 900,
    "long": "true" + " " * 997,
    "nothing": "   ",
    "a comment": "// true",
    "a NUL": "os == '\0' && \0",
    "surprising letters": "ós == '\U0001f600' && 'ß' == 'ß'",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_expression_is_refused(name: str) -> None:
    assert complaint(HOSTILE[name])


def test_a_pattern_that_other_engines_hang_on_is_answered() -> None:
    assert not Selector("(os+'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa').matches('^(a+)+$')").matches(FACTS)


def test_what_is_within_the_bounds_can_be_evaluated() -> None:
    deep = "(" * MAX_DEPTH + "true" + ")" * MAX_DEPTH
    assert Selector(deep).matches(FACTS)
    assert "more than" in complaint(f"({deep})")
    assert Selector("&&".join(["webgpu"] * MAX_TERMS)).matches(FACTS)
    assert complaint("&&".join(["webgpu"] * (MAX_TERMS + 2))).startswith(f"column {MAX_TERMS * 8 + 7}: ")


def test_many_evaluations_together_take_no_longer_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(seconds)))
    slow = Expression("os == 'linux'", SAMPLE, most_seconds=2.5)
    assert slow.value(FACTS) is True
    assert slow.value(FACTS) is True
    with pytest.raises(ExpressionError, match=r"more than 2\.5 s"):
        slow.value(FACTS)
