import re

from orchestrator.models.runtimes import WEBPAYLOADS
from tests.bench.fidelity import CASES
from tests.bench.plain import PAGES


def test_both_sides_fill_prompts_with_the_same_words() -> None:
    def passage(text: str) -> str:
        begin = text.index("const PASSAGE =")
        return "".join(re.findall(r"'([^']*)'", text[begin : text.index(";", begin)]))

    lab = passage((WEBPAYLOADS / "src" / "prompt.ts").read_text(encoding="utf-8"))
    assert lab
    assert passage((PAGES / "measure.mjs").read_text(encoding="utf-8")) == lab


def test_each_engine_has_a_plain_page_whose_packages_are_there() -> None:
    for engine in CASES:
        runtime = engine.partition("/")[0]
        html = (PAGES / f"{runtime}.html").read_text(encoding="utf-8")
        imported = re.findall(r'"/node_modules/([^"]+)"', html)
        assert imported
        assert (PAGES / f"{runtime}.mjs").is_file()
        assert [path for path in imported if not (WEBPAYLOADS / "node_modules" / path).is_file()] == []
