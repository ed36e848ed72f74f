"""What the documentation has its readers type, typed page by page in a lab of real processes; see typed.py."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from orchestrator.client import Client
from orchestrator.contract.vocabulary import RunState
from tests.integration.coordinator.lab import FORCED, RunningCoordinator, Submitter
from tests.integration.docs.played import DESK, PHONE, PlayedLab, answering, played_lab
from tests.integration.docs.reader import ROOT, Reader, lines_of, shell_blocks
from tests.integration.docs.typed import MENTIONED, PLAYED
from tests.unit.docs.shell_blocks import blocks
from tests.unit.domain.builders import device

REFUSED = "fitmatrix submit job.yaml"
"""Shown in docs/jobs.md with what it answers to a job that is wrong."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlayedLab]:
    with played_lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="module")
def coordinator(lab: PlayedLab) -> RunningCoordinator:
    return lab.coordinator


@pytest.fixture(scope="module")
def newcomers(coordinator: RunningCoordinator) -> Iterator[ExitStack]:
    """Devices that come while pages are typed, and stay."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def receiver() -> Iterator[str]:
    """An address that takes whatever is posted to it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: the test's output is not the place."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def shown(page: str, language: str) -> str:
    """The page's first block of a language."""
    return next(block.text for block in blocks(ROOT / page, page) if block.language == language)


@pytest.fixture
def reader(lab: PlayedLab, receiver: str, tmp_path: Path, request: pytest.FixtureRequest) -> Reader:
    """With the files that the page shows or that a reader of it has."""
    page: str = request.getfixturevalue("page")
    coordinator = lab.coordinator
    job = page if page in ("README.md", "docs/qa.md") else "docs/first-hour.md"
    for name in ("job.yaml", "JOB.yaml"):
        (tmp_path / name).write_text(shown(job, "yaml"))
    (tmp_path / "visitors.csv").write_text(shown("docs/audiences.md", "csv"))
    (tmp_path / "field.json").write_text(shown("docs/exports.md", "json"))
    shutil.copytree(ROOT / "docs/examples/ci", tmp_path / "ci")
    with Client(coordinator.url) as client:
        meant = {
            "RUN": client.runs(state=RunState.FINISHED)[0].id,
            "DEVICE": DESK,
            "2026-11-01T00:00:00Z": lab.parted_at,
            "lab.phone": PHONE,
            "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9": client.fits_key().key_id,
            "https://ci.example.org/hooks/fitmatrix": receiver,
            "/mnt": str(tmp_path / "mnt"),
            ".venv/bin/fitmatrix": "fitmatrix",
        }
    return Reader(tmp_path, {"FITMATRIX_SERVER": coordinator.url, "FITMATRIX_DATA": str(coordinator.data)}, meant)


@contextmanager
def queued(coordinator: RunningCoordinator, reader: Reader) -> Iterator[None]:
    """There is a job that nothing has been measured of yet, and a run of it."""
    with Client(coordinator.url) as client, closing(Submitter(coordinator, f'id == "{PHONE}"')) as qa:
        client.drain(PHONE)
        reader.meant["JOB"] = qa.submit(variants=[FORCED])
        reader.meant["RUN"] = qa.runs(reader.meant["JOB"])[0]["id"]
        yield
        client.undrain(PHONE)


@pytest.mark.parametrize("page", PLAYED)
def test_a_page_can_be_typed_line_by_line(
    page: str, coordinator: RunningCoordinator, newcomers: ExitStack, reader: Reader
) -> None:
    known = PLAYED[page]
    for line in lines_of(page):
        if line not in known:
            continue  # another test's, or none's: tests/unit/docs/test_commands.py looks after that
        if line.endswith("'!probed'"):
            newcomers.enter_context(answering(coordinator, [device(f"new.{page[5:-3]}", device_class="new")]))
        if line == REFUSED:
            continue
        with queued(coordinator, reader) if line.startswith("fitmatrix cancel") else nullcontext():
            reader.does(line, known[line])


@pytest.mark.parametrize("page", ["README.md"])
def test_what_sentences_mention_can_be_typed(page: str, reader: Reader, lab: PlayedLab) -> None:
    with closing(Submitter(lab.coordinator, f'id == "{DESK}"')) as qa:
        reader.meant["JOB"] = qa.submit(variants=[FORCED])
    for line, said in MENTIONED.items():
        reader.does(line, reader.typed(said))


@pytest.mark.parametrize("page", ["docs/jobs.md"])
def test_a_wrong_selector_is_refused_in_the_words_of_the_page(page: str, reader: Reader) -> None:
    assert REFUSED in PLAYED[page]
    (shown_there,) = (block.text for block in shell_blocks(page) if block.text.startswith(f"$ {REFUSED}"))
    words = " ".join(shown_there.partition("\n")[2].split())
    selector = words.partition("value: ")[2].partition(" allowed:")[0]
    (reader.directory / "job.yaml").write_text(
        f"name: x\nvariants: [{FORCED}]\ndevices: '{selector}'\nbackends: [wasm]\n"
    )
    answer = reader.types(REFUSED)
    assert (answer.code, answer.words.startswith(words.removesuffix("…"))) == (2, True), answer.words
