"""`gate.yaml` is read strictly: whatever is wrong is named with file, line and field."""

from pathlib import Path

import pytest

from orchestrator.cli.gate_file import Bound, GateFileError, Requirements, read_gate_file
from orchestrator.contract.views import RunFigures
from orchestrator.contract.vocabulary import Backend, Verdict


def written(directory: Path, text: str) -> Path:
    path = directory / "gate.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_gate_is_read(tmp_path: Path) -> None:
    gate = read_gate_file(
        written(
            tmp_path,
            """
rules:
  - name: phones keep up
    device_class: low-end
    variants: bits == 4.0 && size_mb < 500.0
    backends: [wasm]
    require: {verdict: fits, decode_tokens_per_second: ">= 8", peak_memory_mb: "<800.5"}
  - devices: ram_gib >= 4.0
    variants: [talker.q8]
    require: {verdict: [fits, too-slow], settled: true, min_fits_probability: 0.9}
    unmeasured: allow
""",
        )
    )
    first, second = gate.rules
    assert (first.variants, first.backends) == ("bits == 4.0 && size_mb < 500.0", [Backend.WASM])
    assert second.variants == ["talker.q8"]
    assert first.require.bounds == {"peak_memory_mb": Bound("<", 800.5), "decode_tokens_per_second": Bound(">=", 8)}
    assert second.require.verdict == [Verdict.FITS, Verdict.TOO_SLOW]
    assert (first.unmeasured, second.unmeasured) == ("fail", "allow")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("- rules", "expected a mapping of fields"),
        ("rules: []", "line 1: rules is '[]'; allowed: List should have at least 1 item"),
        ("rule: []", "rule is '[]'; allowed: no such field"),
        ("rules:\n  - require: {}", "line 2: rules[0].require is '{}'; allowed: at least one requirement"),
        ("rules:\n  - name: a", "rules[0].require is"),
        ("rules:\n  - require: {verdict: fit}", "rules[0].require.verdict[0] is 'fit'; allowed: 'fits'"),
        ("rules:\n  - require:\n      ttft_seconds: 3", "line 3: rules[0].require.ttft_seconds is '3'; allowed: a"),
        ('rules:\n  - require: {ttft_seconds: "=< 3"}', "rules[0].require.ttft_seconds is '=< 3'"),
        ('rules:\n  - require: {peak_memory_bytes: "< 3"}', "require.peak_memory_bytes is '< 3'; allowed: no such"),
        ("rules:\n  - require: {min_fits_probability: 90}", "min_fits_probability is '90'; allowed: less than"),
        ("rules:\n  - require: {settled: false}", "settled is 'false'; allowed: True"),
        ("rules:\n  - {devices: 'ram_gib >', require: {verdict: fits}}", "rules[0].devices is 'ram_gib >'; allowed"),
        (
            "rules:\n  - require: {verdict: fits}\n    variants: task == 'chat' && size_gb < 1.0",
            "line 3: rules[0].variants is \"task == 'chat' && size_gb < 1.0\"; allowed: a CEL expression: column 19: "
            "there is no size_gb",
        ),
        ("rules:\n  - {variants: talker.q8, require: {verdict: fits}}", "id belongs in a list: [talker.q8]"),
        ("rules:\n  - {variants: [], require: {verdict: fits}}", "line 2: rules[0].variants is '[]'; allowed: List"),
        ("rules:\n  - {backends: [cuda], require: {verdict: fits}}", "rules[0].backends[0] is 'cuda'; allowed: 'w"),
        ("rules:\n  - {unmeasured: ignore, require: {verdict: fits}}", "rules[0].unmeasured is 'ignore'; allowed"),
        ("a: &x 1", "anchors and aliases are not read"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(GateFileError) as told:
        read_gate_file(path)
    assert said in str(told.value)
    assert str(path) in str(told.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GateFileError, match=r"gate\.yaml: No such file"):
        read_gate_file(tmp_path / "gate.yaml")


def test_every_figure_of_a_run_can_be_bounded() -> None:
    names = {name.replace("_bytes", "_mb") for name in RunFigures.model_fields}
    assert names == set(Requirements.model_fields) - {"verdict", "settled", "min_fits_probability"}
