"""Published models: from a hub, from a directory, and what the user is told when neither can be had."""

import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from orchestrator.blobs import BlobStore
from orchestrator.contract.catalog import LabelValidation, Variant
from orchestrator.models.build import BuildError, Progress, build_variants
from orchestrator.models.catalog import load_catalog
from orchestrator.models.manifest import Manifest, manifest_path
from tests.integration.models.hub import COMMIT, Hub, running_hub

REPO = "someone/tiny"
WEIGHTS = bytes(range(256)) * 80_000
"""20 MB: more than one piece of huggingface_hub's downloads."""
TOKEN = "hf_a_secret"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub that has one repository, and an environment that knows no other."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    with running_hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        running.files[REPO] = {"weights/model.bin": WEIGHTS, "config.json": b'{"id2label": {"0": "no", "1": "yes"}}'}
        yield running


class Bench:
    """A catalog of one variant, and a data directory to build it in."""

    def __init__(self, folder: Path) -> None:
        self.catalog = folder / "catalog"
        self.data = folder / "data"
        self.steps: list[Progress] = []
        self.catalog.mkdir()

    def build(
        self, files: list[dict[str, Any]] | None = None, given: Path | None = None, force: bool = False, **changes: Any
    ) -> Variant:
        parameters = {"repo": REPO, "files": files or [{"path": "weights/model.bin", "as": "model.bin"}]}
        parameters |= changes.pop("parameters", {})
        variant = {
            "id": "tiny.hub",
            "runtime": "mediapipe-llm",
            "runtime_version": "0.10.29",
            "format": "mediapipe bin",
            "quantization": "int8",
            "weights": "trained",
            "backends": ["webgpu"],
            "licence": "Apache-2.0",
            "source": f"hf:{REPO}/weights/model.bin",
            "recipe": {"name": "hub_files", "parameters": parameters},
            "validation": {"check": "text", "prompt": "hello", "max_tokens": 8},
        }
        model = {"model": "Tiny", "family": "Tiny", "parameters": 1, "task": "text-generation"}
        content = {**model, "variants": [variant | changes]}
        (self.catalog / "tiny.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        build_variants(["tiny.hub"], self.data, self.steps.append, force=force, directory=self.catalog, given=given)
        return load_catalog(self.data, self.catalog).variants["tiny.hub"]

    def manifest(self) -> Manifest:
        return Manifest.model_validate_json(manifest_path(self.data, "tiny.hub").read_bytes())

    def bytes_of(self, variant: Variant, path: str) -> bytes:
        (file,) = (file for file in variant.files if file.path == path)
        return BlobStore(self.data / "blobs").path(file.sha256).read_bytes()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_files_come_from_one_commit_with_bytes_counted(hub: Hub, bench: Bench) -> None:
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    files: list[dict[str, Any]] = [
        {"path": "weights/model.bin", "as": "model.bin", "sha256": sha256, "bytes": len(WEIGHTS)},
        {"path": "config.json"},
    ]
    variant = bench.build(files)
    assert bench.bytes_of(variant, "model.bin") == WEIGHTS
    assert {file.path for file in variant.files} == {"model.bin", "config.json"}
    assert bench.manifest().tools["hub commit"] == COMMIT
    assert {path.split("/")[4] for method, path, _ in hub.asked if method == "GET"} == {COMMIT}
    counted = [step for step in bench.steps if step.done_bytes is not None]
    assert (len(WEIGHTS), len(WEIGHTS)) in {(step.done_bytes, step.total_bytes) for step in counted}
    assert {path.name for path in bench.data.iterdir()} == {"blobs", "models", "variants"}


def test_a_broken_connection_is_taken_up_where_it_broke(hub: Hub, bench: Bench) -> None:
    hub.drop_after = 15_000_000
    variant = bench.build()
    assert bench.bytes_of(variant, "model.bin") == WEIGHTS
    first, second = hub.downloads()
    assert first == ("model.bin", None)
    assert second[1] is not None
    assert int(second[1].removeprefix("bytes=").rstrip("-")) > 0


def test_what_a_failed_build_has_downloaded_is_not_downloaded_again(hub: Hub, bench: Bench) -> None:
    files: list[dict[str, Any]] = [{"path": "weights/model.bin"}, {"path": "late.json"}]
    with pytest.raises(BuildError, match=r"has no file late\.json in someone/tiny at main"):
        bench.build(files)
    hub.files[REPO]["late.json"] = b"{}"
    assert bench.build(files).is_built
    assert [name for name, _ in hub.downloads()] == ["model.bin", "late.json"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"sha256": "0" * 64}, "weights/model.bin is refused: expected SHA-256 0000"),
        ({"bytes": 7}, "weights/model.bin is refused: expected 7 bytes, got 20480000"),
    ],
)
def test_other_bytes_are_refused_and_not_kept(hub: Hub, bench: Bench, wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BuildError, match=sentence):
        bench.build([{"path": "weights/model.bin", **wrong}])
    assert list(bench.data.rglob("model.bin")) == []
    assert not manifest_path(bench.data, "tiny.hub").exists()


def test_a_token_opens_what_is_gated_and_is_written_nowhere(
    hub: Hub, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated.add(REPO)
    hub.token = TOKEN
    terms = rf"tiny\.hub: hf:someone/tiny/weights/model\.bin is gated: accept its terms at {hub.endpoint}/someone/tiny"
    with pytest.raises(BuildError, match=terms):
        bench.build()
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    with pytest.raises(BuildError, match=terms):
        bench.build()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert bench.build().is_built
    assert f"Bearer {TOKEN}" in hub.tokens
    for path in bench.data.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
    assert all(TOKEN not in step.step for step in bench.steps)


def _gone(hub: Hub) -> None:
    hub.files.clear()


def _busy(hub: Hub) -> None:
    hub.status = 404


def _refusing(hub: Hub) -> None:
    hub.status = 403


@pytest.mark.parametrize(
    ("trouble", "parameters", "sentence"),
    [
        (_gone, {}, "shows no repository someone/tiny: it is gone, or private"),
        (lambda hub: None, {"revision": "v9"}, "has no revision v9 of someone/tiny"),
        (_busy, {}, "answered 404; try later, or connect this machine"),
        (_refusing, {}, r"refuses hf:someone/tiny/weights/model\.bin \(403\): HF_TOKEN is missing, wrong or lacks"),
        (lambda hub: None, {"repo": "no-slash"}, r"recipe\.parameters: .*repo"),
    ],
)
def test_a_refusal_is_a_sentence(
    hub: Hub, bench: Bench, trouble: Callable[[Hub], None], parameters: dict[str, Any], sentence: str
) -> None:
    trouble(hub)
    with pytest.raises(BuildError, match=sentence) as caught:
        bench.build(parameters=parameters)
    assert "Traceback" not in str(caught.value)


def test_an_unreachable_hub_is_named_with_what_to_do(hub: Hub, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("HF_ENDPOINT", nobody)
        with pytest.raises(BuildError) as caught:
            bench.build()
    said = str(caught.value)
    assert said.startswith("tiny.hub: cannot download hf:someone/tiny/weights/model.bin: no hub could be reached at")
    for words in (nobody, "HF_ENDPOINT", "--from DIRECTORY"):
        assert words in said


def test_a_hub_that_was_forbidden_is_not_asked(hub: Hub, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(BuildError, match="HF_HUB_OFFLINE forbids it"):
        bench.build()
    assert hub.asked == []


def test_a_directory_stands_in_for_the_hub(hub: Hub, bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    with pytest.raises(BuildError, match=r"downloads has no weights/model\.bin"):
        bench.build(given=folder)
    (folder / "model.bin").write_bytes(b"wrong")
    with pytest.raises(BuildError, match=r"weights/model\.bin is refused: expected 20480000 bytes, got 5"):
        bench.build([{"path": "weights/model.bin", "bytes": len(WEIGHTS)}], given=folder)
    assert (folder / "model.bin").is_file()
    (folder / "model.bin").write_bytes(WEIGHTS)
    variant = bench.build(given=folder)
    assert bench.bytes_of(variant, "model.bin") == WEIGHTS
    assert (folder / "model.bin").read_bytes() == WEIGHTS
    assert hub.asked == []


def test_a_classifier_gets_its_reference_from_the_very_file(hub: Hub, bench: Bench) -> None:
    hub.files[REPO] |= {"onnx/model.onnx": classifier(), "tokenizer.json": tokenizer()}
    variant = bench.build(
        [{"path": path} for path in ("onnx/model.onnx", "tokenizer.json", "config.json")],
        parameters={"onnx": "onnx/model.onnx"},
        validation={"check": "labels", "texts": ["good", "bad bad"]},
    )
    validation = variant.validation
    assert isinstance(validation, LabelValidation)
    good, bad = validation.reference
    assert [one.label for one in good] == ["yes", "no"]
    assert [one.label for one in bad] == ["no", "yes"]
    # The logits are (0, 2) for `good` and (1, 0) for each `bad`.
    assert good[0].score == pytest.approx(1 / (1 + numpy.exp(-2)))
    assert bad[0].score == pytest.approx(1 / (1 + numpy.exp(-2)))


def classifier() -> bytes:
    """Logits are the sum of what each token says."""
    table = numpy.array([[0, 0], [0, 2], [1, 0]], dtype=numpy.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["said"]),
            helper.make_node("ReduceSum", ["said", "over_tokens"], ["logits"], keepdims=0),
        ],
        "classifier",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(numpy.array([1]), "over_tokens")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def tokenizer() -> bytes:
    said = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": {"?": 0, "good": 1, "bad": 2}, "unk_token": "?"},
    }
    return json.dumps(said).encode()
