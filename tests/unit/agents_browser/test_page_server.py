"""The page server over real sockets on loopback."""

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agents.attempt_page import AttemptPage
from agents.kept_pages import KEPT_PAGES
from agents.page_server import CONTENT_SECURITY_POLICY, PageServer, PageServerError
from orchestrator.contract.job import FeatureExtractionWorkload
from orchestrator.contract.page import PageSpec
from orchestrator.contract.vocabulary import Backend, Phase, Task, Weights

CONTENT = bytes(range(256)) * 8_000
EVENT = {"seq": 0, "kind": "phase", "phase": "download", "at_ms": 12.5}


def report(attempt: str = "run-1.1") -> dict[str, object]:
    environment = {"user_agent": "test", "cross_origin_isolated": True, "hardware_concurrency": 2}
    return {"attempt": attempt, "completed": True, "phase": "validate", "environment": environment}


def page_spec(attempt: str = "run-1.1") -> PageSpec:
    return PageSpec(
        contract_version=1,
        attempt=attempt,
        variant="tiny",
        model="Tiny",
        weights=Weights.SYNTHETIC,
        runtime="transformers.js",
        runtime_version="1",
        backend=Backend.WASM,
        task=Task.FEATURE_EXTRACTION,
        options={},
        files=[],
        workload=FeatureExtractionWorkload(),
        validation=None,
    )


@pytest.fixture
def server() -> Iterator[PageServer]:
    server = PageServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    contents = {"index.html": b"<!doctype html>", "assets/run.wasm": b"\0asm", "onnx/model.onnx": CONTENT}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


@pytest.fixture
def news() -> list[str]:
    return []


@pytest.fixture
def page(server: PageServer, files: dict[str, Path], news: list[str]) -> AttemptPage:
    return server.open_attempt(
        page_spec(),
        page_files={name: files[name] for name in ("index.html", "assets/run.wasm")},
        model_files={"onnx/model.onnx": files["onnx/model.onnx"]},
        media_types={"index.html": "text/html", "assets/run.wasm": "application/wasm"},
        on_news=lambda: news.append("heard"),
    )


def key_of(page: AttemptPage) -> dict[str, str]:
    return {"X-Attempt-Key": page.url.split("#key=")[1]}


def test_the_page_and_its_files_are_served(page: AttemptPage) -> None:
    home = httpx.get(page.public_url)
    assert (home.status_code, home.text, home.headers["content-type"]) == (200, "<!doctype html>", "text/html")
    wasm = httpx.get(f"{page.public_url}assets/run.wasm")
    assert wasm.headers["content-type"] == "application/wasm"
    assert httpx.get(f"{page.public_url}spec").json() == json.loads(page_spec().model_dump_json())
    without_slash = httpx.get(page.public_url.rstrip("/"))
    assert (without_slash.status_code, without_slash.headers["location"]) == (308, "/run/run-1.1/")


@pytest.mark.parametrize("path", ["", "spec", "assets/run.wasm", "model/onnx/model.onnx", "missing.js"])
def test_every_answer_isolates_the_page(page: AttemptPage, path: str) -> None:
    headers = httpx.get(page.public_url + path).headers
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-embedder-policy"] == "require-corp"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    kept = "private, max-age=31536000, immutable" if path == "assets/run.wasm" else "no-store"
    assert headers["cache-control"] == kept
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["missing.js", "model/other.onnx", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "model/../index.html"]
)
def test_what_is_not_listed_is_not_served(page: AttemptPage, path: str) -> None:
    port = int(page.public_url.split(":")[2].split("/")[0])
    # By hand: a client library would tidy the path up before sending it.
    with socket.create_connection(("127.0.0.1", port)) as connection:
        request = f"GET /run/run-1.1/{path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.split(b" ")[1] in (b"404", b"400")


@pytest.mark.parametrize(
    ("asked", "first", "last"), [("bytes=0-9", 0, 9), ("bytes=100-", 100, len(CONTENT) - 1), ("bytes=-5", -5, -1)]
)
def test_a_range_is_served_and_counted(page: AttemptPage, asked: str, first: int, last: int) -> None:
    answer = httpx.get(f"{page.public_url}model/onnx/model.onnx", headers={"Range": asked})
    expected = CONTENT[first:] if last in (-1, len(CONTENT) - 1) else CONTENT[first : last + 1]
    assert (answer.status_code, answer.content) == (206, expected)
    start = first % len(CONTENT)
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/{len(CONTENT)}"
    assert (page.served.model_files, page.served.requests) == (len(expected), 1)


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=x-y"])
def test_an_impossible_range_is_refused(page: AttemptPage, asked: str) -> None:
    answer = httpx.get(f"{page.public_url}model/onnx/model.onnx", headers={"Range": asked})
    assert answer.status_code == 416
    assert page.served.total == 0


def test_bodies_are_counted_exactly_and_by_file(page: AttemptPage) -> None:
    sizes = [len(httpx.get(page.public_url + path).content) for path in ("", "spec", "model/onnx/model.onnx")]
    assert httpx.head(f"{page.public_url}model/onnx/model.onnx").headers["content-length"] == str(len(CONTENT))
    served = page.served
    assert (served.total, served.model_files, served.requests) == (sum(sizes), len(CONTENT), 4)
    assert served.by_path == {"index.html": sizes[0], "spec": sizes[1], "model/onnx/model.onnx": sizes[2]}


def test_a_download_that_breaks_off_counts_with_what_was_sent(
    server: PageServer, page: AttemptPage, files: dict[str, Path]
) -> None:
    size = 64 * 2**20
    with files["onnx/model.onnx"].open("wb") as stream:
        stream.truncate(size)
    with httpx.stream("GET", f"{page.public_url}model/onnx/model.onnx") as answer:
        read = next(answer.iter_bytes(chunk_size=65536))
    server.stop()
    assert len(read) <= page.served.model_files < size
    assert page.served.requests == 1


@pytest.fixture
def compressed(server: PageServer, files: dict[str, Path], tmp_path: Path) -> AttemptPage:
    """A page one of whose files has a compressed form."""
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(CONTENT))
    return server.open_attempt(
        page_spec(),
        page_files={"assets/run.wasm": files["onnx/model.onnx"], "assets/run.wasm.gz": packed},
        model_files={"run.wasm": files["onnx/model.onnx"]},
        media_types={"assets/run.wasm": "application/wasm"},
    )


@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br, zstd", "br;q=1.0, GZIP;q=0.5", "*"])
def test_a_page_file_goes_compressed_and_counts_as_it_was_sent(compressed: AttemptPage, accepted: str) -> None:
    url, wire = f"{compressed.public_url}assets/run.wasm", len(gzip.compress(CONTENT))
    with httpx.stream("GET", url, headers={"Accept-Encoding": accepted}) as answer:
        sent = b"".join(answer.iter_raw())
    assert gzip.decompress(sent) == CONTENT
    headers = answer.headers
    assert (headers["content-encoding"], headers["vary"]) == ("gzip", "Accept-Encoding")
    assert (headers["content-type"], headers["content-length"]) == ("application/wasm", str(wire))
    assert compressed.served.by_path == {"assets/run.wasm": wire}


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept-Encoding": "identity"},
        {"Accept-Encoding": "br, deflate"},
        {"Accept-Encoding": "gzip;q=0, br"},
        {"Accept-Encoding": "gzip", "Range": "bytes=0-"},
    ],
)
def test_whoever_does_not_take_gzip_gets_the_file_itself(compressed: AttemptPage, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{compressed.public_url}assets/run.wasm", headers=headers)
    assert answer.content == CONTENT
    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"
    assert compressed.served.total == len(CONTENT)


def test_models_are_never_compressed(compressed: AttemptPage) -> None:
    answer = httpx.get(f"{compressed.public_url}model/run.wasm", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    assert compressed.served.model_files == len(CONTENT)


def test_a_compressed_form_that_has_gone_is_done_without(compressed: AttemptPage, tmp_path: Path) -> None:
    (tmp_path / "packed").unlink()
    assert httpx.get(f"{compressed.public_url}assets/run.wasm").content == CONTENT


def test_events_and_report_are_heard_with_the_key(page: AttemptPage, news: list[str]) -> None:
    assert httpx.post(f"{page.public_url}events", json=EVENT, headers=key_of(page)).status_code == 204
    later = {**EVENT, "seq": 2, "phase": "init"}
    overtaken = {**EVENT, "seq": 1}
    for event in (later, overtaken, later):
        assert httpx.post(f"{page.public_url}events", json=event, headers=key_of(page)).status_code == 204
    assert [received.event.seq for received in page.events] == [0, 2, 1]
    assert page.last_event is not None
    assert page.last_event.event.phase is Phase.INIT
    assert httpx.post(f"{page.public_url}report", json=report(), headers=key_of(page)).status_code == 204
    assert page.report is not None
    assert len(news) == 5
    again = httpx.post(f"{page.public_url}report", json={**report(), "completed": False}, headers=key_of(page))
    assert again.status_code == 409
    assert page.report.completed


@pytest.mark.parametrize("key", [None, b"", b"guess", b"\xff\xfe"])
def test_without_the_key_nothing_is_heard(page: AttemptPage, news: list[str], key: bytes | None) -> None:
    headers = {} if key is None else {b"X-Attempt-Key": key}
    for path, body in (("events", EVENT), ("report", report())):
        assert httpx.post(page.public_url + path, json=body, headers=headers).status_code == 403
    assert (page.events, page.report, news) == ([], None, [])


def test_one_attempts_key_does_not_open_another(server: PageServer, page: AttemptPage) -> None:
    other = server.open_attempt(page_spec("run-2.1"), page_files={}, model_files={}, media_types={})
    answer = httpx.post(f"{other.public_url}events", json=EVENT, headers=key_of(page))
    assert (answer.status_code, other.events) == (403, [])
    foreign = httpx.post(f"{page.public_url}report", json=report("run-2.1"), headers=key_of(page))
    assert (foreign.status_code, page.report) == (400, None)


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"[]",
        b'{"seq": -1, "kind": "phase", "phase": "init", "at_ms": 1}',
        b'{"seq": 1, "kind": "phase", "phase": "lunch", "at_ms": 1}',
        b'{"seq": 1, "kind": "phase", "phase": "init", "at_ms": 1, "more": true}',
    ],
)
def test_a_malformed_event_is_refused(page: AttemptPage, body: bytes) -> None:
    answer = httpx.post(f"{page.public_url}events", content=body, headers=key_of(page))
    assert (answer.status_code, page.events) == (422, [])
    assert answer.json()[0]["type"]


def test_a_huge_event_is_refused(page: AttemptPage) -> None:
    body = json.dumps({**EVENT, "detail": "x" * 100_000}).encode()
    assert httpx.post(f"{page.public_url}events", content=body, headers=key_of(page)).status_code == 413

    def in_pieces() -> Iterator[bytes]:
        yield body[:50_000]
        yield body[50_000:]

    assert httpx.post(f"{page.public_url}events", content=in_pieces(), headers=key_of(page)).status_code == 413
    assert page.events == []


def test_a_huge_report_is_refused(page: AttemptPage) -> None:
    body = json.dumps({**report(), "errors": ["x" * 9_000_000]}).encode()
    assert httpx.post(f"{page.public_url}report", content=body, headers=key_of(page)).status_code == 413
    assert page.report is None


def test_a_key_dies_with_its_attempt(server: PageServer, page: AttemptPage) -> None:
    old = key_of(page)
    page.close()
    again = server.open_attempt(page_spec(), page_files={}, model_files={}, media_types={})
    assert httpx.post(f"{again.public_url}events", json=EVENT, headers=old).status_code == 403
    assert (page.events, again.events) == ([], [])


def test_a_closed_attempt_can_be_looked_at_but_is_not_heard(page: AttemptPage) -> None:
    page.close()
    assert httpx.get(page.public_url).status_code == 200
    assert httpx.post(f"{page.public_url}events", json=EVENT, headers=key_of(page)).status_code == 409
    assert httpx.post(f"{page.public_url}report", json=report(), headers=key_of(page)).status_code == 409
    assert (page.events, page.report, page.served.total, page.served.requests) == ([], None, 0, 0)


def test_the_last_attempts_stay_reachable(server: PageServer, page: AttemptPage) -> None:
    newer = [
        server.open_attempt(page_spec(f"run-{number}.1"), page_files={}, model_files={}, media_types={})
        for number in range(10, 10 + KEPT_PAGES)
    ]
    assert httpx.get(f"{page.public_url}spec").status_code == 404
    assert {httpx.get(f"{one.public_url}spec").status_code for one in newer} == {200}


@pytest.mark.parametrize("host", ["evil.example", "localhost", "localhost:1", ""])
def test_foreign_host_names_are_refused(page: AttemptPage, host: str) -> None:
    assert httpx.get(page.public_url, headers={"Host": host}).status_code in (400, 403)
    told = httpx.post(f"{page.public_url}events", json=EVENT, headers=key_of(page) | {"Host": host})
    assert told.status_code in (400, 403)
    assert page.events == []


@pytest.mark.parametrize("attempt", ["..%2fkept", "%2e%2e", "%2fetc%2fpasswd", "run-1.1%00", "-"])
def test_attempts_have_plain_names(server: PageServer, page: AttemptPage, attempt: str) -> None:
    assert httpx.get(f"{server.origin}/run/{attempt}/spec").status_code in (400, 404)
    assert httpx.post(f"{server.origin}/run/{attempt}/events", json=EVENT, headers=key_of(page)).status_code in (
        400,
        404,
    )


def test_the_number_of_loopback_is_a_good_host_name(page: AttemptPage) -> None:
    assert httpx.get(page.public_url.replace("localhost", "127.0.0.1")).status_code == 200


def test_a_taken_port_is_one_clear_sentence(server: PageServer) -> None:
    port = int(server.origin.rsplit(":", 1)[1])
    with pytest.raises(PageServerError, match=f"cannot listen on port {port}: Address already in use"):
        PageServer(port).start()


def test_stopping_twice_or_without_start_is_harmless() -> None:
    server = PageServer()
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_the_key_is_in_no_public_address(page: AttemptPage) -> None:
    assert page.url.startswith(f"{page.public_url}#key=")
    assert key_of(page)["X-Attempt-Key"] not in page.public_url
