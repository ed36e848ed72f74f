"""TLS as the agent and the SDK see it: whom they trust, and what they say where they do not."""

import http.server
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agents.coordinator import CoordinatorClient, CoordinatorError, CoordinatorUnavailableError
from orchestrator.client import Client, ClientError
from orchestrator.contract.device import EnrolRequest, Heartbeat
from orchestrator.contract.tls import broker_tls
from orchestrator.exposure import check_certificate, exposures
from orchestrator.settings import CoordinatorSettings, StartupError
from tests.certificates import Authority, Certificate

SECRET = "sesame-open-4711"
ENROLMENT = EnrolRequest(contract_version=1, agent_id="host-1", agent_version="1", hostname="host", devices=[])
LOOPBACK = "IP:127.0.0.1"


class Server:
    """A server on loopback that keeps every request line it could read."""

    def __init__(self, certificate: Certificate | None) -> None:
        self.heard: list[str] = []
        heard = self.heard

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                heard.append(self.requestline)
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, address: object) -> None:
                """A handshake that fails is what is tested here."""

            def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], address: object) -> None:
                assert isinstance(request, socket.socket)
                if context is None:
                    return super().finish_request(request, address)
                with context.wrap_socket(request, server_side=True) as secured:
                    return super().finish_request(secured, address)

        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.certificate, certificate.key)
        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def url(self, scheme: str = "https") -> str:
        return f"{scheme}://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(certificate: Certificate | None) -> Iterator[Server]:
    with closing(Server(certificate)) as server:
        yield server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


def ask_as_agent(url: str, ca: Path | None) -> None:
    with closing(CoordinatorClient(url, ca=ca)) as client:
        client.enrol(ENROLMENT, shared_token=SECRET)


def ask_as_sdk(url: str, ca: Path | None) -> None:
    with Client(url, ca=ca, token=SECRET) as client:
        client.devices()


both = pytest.mark.parametrize("ask", [ask_as_agent, ask_as_sdk])
Ask = Callable[[str, Path | None], None]
ERRORS = (CoordinatorError, ClientError)


@both
def test_a_certificate_of_the_trusted_authority_is_taken(ask: Ask, authority: Authority) -> None:
    with serving(authority.issue(LOOPBACK)) as server:
        with pytest.raises(ERRORS, match=r"does not answer like|did not answer as"):
            ask(server.url(), authority.ca)
        assert len(server.heard) == 1


@both
@pytest.mark.parametrize(
    ("names", "days", "sentence"),
    [
        ("IP:127.0.0.2", 2, "made for another name"),
        ("DNS:elsewhere", 2, "made for another name"),
        (LOOPBACK, -1, "has expired: renew it on the coordinator"),
    ],
)
def test_a_certificate_that_does_not_hold_is_refused_before_anything_is_said(
    ask: Ask, authority: Authority, names: str, days: int, sentence: str
) -> None:
    with serving(authority.issue(names, days=days)) as server:
        with pytest.raises(ERRORS, match=sentence) as refusal:
            ask(server.url(), authority.ca)
        assert server.heard == []
        assert SECRET not in str(refusal.value)


@both
@pytest.mark.parametrize("knows_a_ca", [True, False])
def test_an_authority_that_is_not_trusted_is_refused_before_anything_is_said(
    ask: Ask, authority: Authority, stranger: Authority, knows_a_ca: bool
) -> None:
    with serving(stranger.issue(LOOPBACK)) as server:
        with pytest.raises(ERRORS, match=r"no authority that this machine trusts .* --ca FILE"):
            ask(server.url(), authority.ca if knows_a_ca else None)
        assert server.heard == []


@both
def test_tls_spoken_to_a_plain_port_says_what_to_write(ask: Ask, authority: Authority) -> None:
    with (
        serving(None) as server,
        pytest.raises(ERRORS, match="does not speak TLS there: write http://"),
    ):
        ask(server.url("https"), authority.ca)


@both
def test_a_ca_file_that_is_none_is_refused(ask: Ask, authority: Authority, tmp_path: Path) -> None:
    empty = tmp_path / "empty.crt"
    empty.write_text("nothing")
    with pytest.raises(ERRORS, match=f"the CA file {empty} holds no certificate"):
        ask("https://127.0.0.1:1", empty)
    with pytest.raises(ERRORS, match=r"nowhere\.crt cannot be read: No such file"):
        ask("https://127.0.0.1:1", tmp_path / "nowhere.crt")


def test_an_agent_that_trusted_its_coordinator_once_waits_for_a_better_certificate(
    authority: Authority, stranger: Authority
) -> None:
    with (
        serving(stranger.issue(LOOPBACK)) as server,
        closing(CoordinatorClient(server.url(), ca=authority.ca, token="enrolled")) as client,
        pytest.raises(CoordinatorUnavailableError, match="not trusted"),
    ):
        client.heartbeat("host-1", Heartbeat(devices=[]))


def test_the_agents_command_ends_with_a_sentence_and_without_its_token(
    stranger: Authority, authority: Authority, tmp_path: Path
) -> None:
    with serving(stranger.issue(LOOPBACK)) as server:
        command = [sys.executable, "-m", "agents.cli", "run", "--coordinator", server.url(), "--data", str(tmp_path)]
        ended = subprocess.run(
            [*command, "--ca", str(authority.ca)],
            env=os.environ | {"FITMATRIX_AGENT_TOKEN": SECRET},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert server.heard == []
    assert ended.returncode == 3, ended.stderr
    assert "no authority that this machine trusts has signed its certificate" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert SECRET not in ended.stdout + ended.stderr


def test_the_commands_take_the_ca_as_an_option_and_from_the_environment(
    stranger: Authority, authority: Authority, tmp_path: Path
) -> None:
    with serving(authority.issue(LOOPBACK)) as server:

        def said(*options: str, **environment: str) -> str:
            command = [sys.executable, "-m", "orchestrator.cli.main", *options, "devices", "--server", server.url()]
            ended = subprocess.run(
                command, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert ended.returncode == 3, ended.stderr
            return " ".join(ended.stderr.split())

        assert "not trusted" in said()
        assert "not trusted" in said("--ca", str(stranger.ca))
        assert "did not answer as a coordinator" in said("--ca", str(authority.ca))
        assert "did not answer as a coordinator" in said(FITMATRIX_CA=str(authority.ca))


def test_a_brokers_certificate_is_checked_wherever_its_address_asks_for_tls(authority: Authority) -> None:
    assert broker_tls("redis://broker/0", authority.ca) is None
    options = broker_tls("rediss://broker/0", authority.ca)
    assert options == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": True,
        "ssl_ca_certs": str(authority.ca),
    }
    assert broker_tls("rediss://broker/0", None) == {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}


def test_a_coordinator_checks_its_certificate_before_it_listens(authority: Authority, tmp_path: Path) -> None:
    good, other = authority.issue(LOOPBACK), authority.issue(LOOPBACK, file="other")
    locked = tmp_path / "locked.key"
    subprocess.run(
        ["openssl", "ec", "-in", str(good.key), "-aes128", "-passout", "pass:word", "-out", str(locked)],
        check=True,
        capture_output=True,
    )
    check_certificate(CoordinatorSettings(tls_certificate=good.certificate, tls_key=good.key))
    check_certificate(CoordinatorSettings())
    for certificate, key, sentence in [
        (good.certificate, None, "set FITMATRIX_TLS_KEY as well"),
        (None, good.key, "set FITMATRIX_TLS_CERTIFICATE as well"),
        (good.certificate, other.key, "belong to different keys"),
        (good.certificate, locked, "without a passphrase"),
        (good.key, good.key, "cannot be used"),
        (tmp_path / "nowhere", good.key, "cannot be read for TLS: No such file"),
    ]:
        with pytest.raises(StartupError, match=sentence):
            check_certificate(CoordinatorSettings(tls_certificate=certificate, tls_key=key))


def test_what_is_open_or_out_of_reach_beyond_loopback_is_said(authority: Authority) -> None:
    certified = authority.issue(LOOPBACK)
    away = CoordinatorSettings(host="10.0.0.1")
    safe = away.model_copy(update={"tls_certificate": certified.certificate, "tls_key": certified.key})
    assert list(exposures(CoordinatorSettings(), "redis://:word@127.0.0.1:1/0")) == []
    assert list(exposures(safe, "rediss://:word@10.0.0.1:6380/0")) == []
    said = " ".join(exposures(away, "redis://:word@10.0.0.1:6379/0"))
    assert "sent unencrypted: give --tls-certificate" in said
    assert "use a rediss:// address" in said
    said = " ".join(exposures(safe, "redis://:word@127.0.0.1:4711/0"))
    assert "cannot reach the broker at 127.0.0.1" in said
    assert "word" not in said


def test_everything_on_one_machine_says_that_it_does_without_tls(authority: Authority, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli.main", "up", "--data", str(tmp_path)],
        env=os.environ | {"FITMATRIX_TLS_CERTIFICATE": str(authority.ca)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, "serves this machine alone, without TLS" in ended.stderr) == (2, True), ended.stderr
