"""Building: once, completely or not at all."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from orchestrator.blobs import sha256_of
from orchestrator.models.build import BuildError, Progress, build_variants
from orchestrator.models.catalog import load_catalog
from orchestrator.models.definition import CATALOG_DIRECTORY, PackagePin
from orchestrator.models.manifest import manifest_path
from orchestrator.models.packages import PackageError, fetch_package

TINY = "gemma-tiny.int8"


class Steps(list[Progress]):
    """Collects what a build reports."""

    def __call__(self, progress: Progress) -> None:
        self.append(progress)

    def words(self) -> list[str]:
        return [progress.step for progress in self]


def changed_catalog(directory: Path, source: str, **parameters: Any) -> Path:
    """A catalog of one shipped file, with other recipe parameters."""
    content = yaml.safe_load((CATALOG_DIRECTORY / source).read_text(encoding="utf-8"))
    content["variants"][0]["recipe"]["parameters"].update(parameters)
    directory.mkdir(exist_ok=True)
    (directory / source).write_text(yaml.safe_dump(content), encoding="utf-8")
    return directory


def leftovers(data: Path) -> list[str]:
    return sorted(path.name for path in data.iterdir() if path.name not in ("blobs", "models", "packages"))


def test_a_build_is_complete_and_done_once(tmp_path: Path) -> None:
    steps = Steps()
    build_variants([TINY], tmp_path, steps)
    assert steps[-1].finished
    assert [progress.finished for progress in steps[:-1]] == [False] * (len(steps) - 1)
    assert "writing random weights" in steps.words()
    variant = load_catalog(tmp_path).variants[TINY]
    assert variant.is_built
    assert variant.validation is not None
    assert leftovers(tmp_path) == []

    before = manifest_path(tmp_path, TINY).read_bytes()
    again = Steps()
    build_variants([TINY, TINY], tmp_path, again)
    assert again.words() == ["already built"]
    assert manifest_path(tmp_path, TINY).read_bytes() == before

    forced = Steps()
    build_variants([TINY], tmp_path, forced, force=True)
    assert "writing random weights" in forced.words()
    assert load_catalog(tmp_path).variants[TINY].files == variant.files


def test_a_missing_blob_is_built_again(tmp_path: Path) -> None:
    build_variants([TINY], tmp_path, Steps())
    for blob in (tmp_path / "blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()
    build_variants([TINY], tmp_path, Steps())
    assert load_catalog(tmp_path).variants[TINY].is_built


def test_an_unknown_variant_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no variant 'nope' in the catalog; there are all-minilm.*gemma-tiny"):
        build_variants([TINY, "nope"], tmp_path / "data", Steps())
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("source", "parameters", "sentence"),
    [
        ("gemma-tiny.yaml", {"layers": 3}, "the catalog says 344704 parameters, the weights have 484224"),
        ("gemma-tiny.yaml", {"layers": "two"}, "recipe.parameters.layers must be an integer, not 'two'"),
        ("gemma-tiny.yaml", {"tokenizer": "none.model"}, "recipe gemma_bin failed with status 1"),
        ("gemma3-tiny.yaml", {"file": "none.litertlm"}, "is missing: the installation is incomplete"),
        ("gemma3-tiny.yaml", {"sha256": "0" * 64}, "is refused: expected SHA-256 000"),
    ],
)
def test_a_failed_build_leaves_nothing(tmp_path: Path, source: str, parameters: dict[str, Any], sentence: str) -> None:
    directory = changed_catalog(tmp_path / "catalog", source, **parameters)
    data = tmp_path / "data"
    with pytest.raises(BuildError) as caught:
        build_variants([], data, Steps(), directory=directory)
    assert sentence in str(caught.value)
    assert leftovers(data) == []
    assert not (data / "models").exists()


def test_an_interrupted_build_leaves_neither_files_nor_processes(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.step == "writing random weights":
            raise KeyboardInterrupt

    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(KeyboardInterrupt):
        build_variants([TINY], tmp_path, interrupt)
    assert leftovers(tmp_path) == []
    assert set(psutil.Process().children(recursive=True)) <= before
    assert not load_catalog(tmp_path).variants[TINY].is_built


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocker = tmp_path / "blocker"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text("import sys\nsys.modules['sentencepiece'] = None\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(blocker))
    with pytest.raises(BuildError, match=r"'sentencepiece' is missing: run `pip install 'fitmatrix\[models\]'`"):
        build_variants([TINY], tmp_path / "data", Steps())


def wheel(directory: Path, content: str) -> Path:
    """The smallest wheel pip accepts."""
    path = directory / "tiny_weights-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_weights/__init__.py", content)
        archive.writestr(
            "tiny_weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\n"
        )
        archive.writestr(
            "tiny_weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_weights-1.0.dist-info/RECORD", "")
    return path


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that stands for the package index, so that no test leaves this machine."""
    directory = tmp_path / "shelf"
    directory.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


def fetch(sha256: str, data: Path, log: io.StringIO) -> Path:
    pin = PackagePin(name="tiny-weights", version="1.0", sha256=sha256)
    return fetch_package(pin, data, lambda: print("download", file=log))


def test_a_package_is_downloaded_once(shelf: Path, tmp_path: Path) -> None:
    sha256 = sha256_of(wheel(shelf, "one"))
    log = io.StringIO()
    for _ in range(2):
        assert sha256_of(fetch(sha256, tmp_path / "data", log)) == sha256
    assert log.getvalue() == "download\n"


def test_a_package_with_other_bytes_is_refused(shelf: Path, tmp_path: Path) -> None:
    wheel(shelf, "one")
    with pytest.raises(PackageError, match=r"tiny-weights 1\.0 is refused: the package index offers other bytes"):
        fetch("0" * 64, tmp_path / "data", io.StringIO())
    assert list((tmp_path / "data").rglob("*.whl")) == []


def test_a_cached_package_that_changed_is_downloaded_again(shelf: Path, tmp_path: Path) -> None:
    sha256 = sha256_of(wheel(shelf, "one"))
    cached = fetch(sha256, tmp_path / "data", io.StringIO())
    cached.write_bytes(b"changed")
    log = io.StringIO()
    assert sha256_of(fetch(sha256, tmp_path / "data", log)) == sha256
    assert log.getvalue() == "download\n"


def test_a_package_nobody_has_is_explained(shelf: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"cannot download tiny-weights 1\.0 \(is the package index reachable\?\)"):
        fetch("0" * 64, tmp_path / "data", io.StringIO())
