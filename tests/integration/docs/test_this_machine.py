"""What the documentation has its readers type on a lab host, with the browser of this machine; see typed.py."""

import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from orchestrator.client import Client, ClientError
from orchestrator.contract.vocabulary import DeviceState
from tests.certificates import Authority
from tests.integration.coordinator.lab import RunningCoordinator
from tests.integration.docs.reader import ROOT, Reader
from tests.integration.docs.typed import GUARDED, MACHINE
from tests.ports import free_port
from tests.unit.docs.shell_blocks import blocks
from tests.waiting import wait_until

README = MACHINE["README.md"]


def lab_host(directory: Path, **settings: str) -> Reader:
    """Somebody at a lab host without phones."""
    agent = {"FITMATRIX_AGENT_DATA": str(directory / "agent"), "FITMATRIX_AGENT_PHONES": "false"}
    return Reader(directory, agent | settings, {"DATA": str(directory / "models")})


def this_machine(client: Client) -> str | None:
    """Its device, once its agent is there."""
    with suppress(ClientError):
        return next((one.registration.id for one in client.devices() if one.state is DeviceState.IDLE), None)
    return None


def test_a_lab_host_can_be_looked_at_and_measured_without_a_coordinator(tmp_path: Path) -> None:
    reader = lab_host(tmp_path)
    for line in ("fitmatrix-agent doctor", "fitmatrix models build --data DATA llama-tiny.q8"):
        reader.does(line, README[line])
    said = reader.does("fitmatrix-agent devices", README["fitmatrix-agent devices"])
    reader.meant["SERIAL"] = re.findall(r"\S+\.this-machine", said)[0]
    line = "fitmatrix-agent run-once llama-tiny.q8 --models DATA --device SERIAL"
    reader.does(line, README[line])


def test_a_licence_is_asked_for_in_the_words_of_the_page(tmp_path: Path) -> None:
    line = "fitmatrix models build gemma3-270m.litertlm-q8"
    assert line in MACHINE["docs/models.md"]
    (shown,) = (block.text for block in blocks(ROOT / "docs/models.md", "") if block.text.startswith(f"$ {line}"))
    answer = lab_host(tmp_path, FITMATRIX_DATA=str(tmp_path / "data")).types(line)
    assert (answer.code, answer.words) == (3, " ".join(shown.partition("\n")[2].split()))


def test_make_up_serves_this_machine(tmp_path: Path) -> None:
    """Its recipe is run without the set-up before it, which a test must not do to the environment that it runs in."""
    recipe = subprocess.run(["make", "--dry-run", "up"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = (row for row in recipe.splitlines() if row.startswith(".venv/bin/fitmatrix up "))
    port = free_port()
    reader = lab_host(tmp_path)
    reader.meant |= {".venv/bin/fitmatrix": "fitmatrix", ".fitmatrix/demo": "data", "deploy": str(ROOT / "deploy")}
    with (
        reader.keeps_running(f"{line} --port {port}") as said,
        Client(f"http://127.0.0.1:{port}") as client,
    ):
        wait_until(lambda: re.search(README["make up"], " ".join(said.read_text().split())), 90, "a lab")
        wait_until(lambda: this_machine(client), 60, "this machine")


def test_an_agent_is_started_as_the_readme_says(tmp_path: Path) -> None:
    line = "fitmatrix-agent run --coordinator http://127.0.0.1:8600"
    assert line in README
    coordinator = RunningCoordinator(tmp_path / "data")
    coordinator.start()
    reader = lab_host(tmp_path)
    reader.meant["http://127.0.0.1:8600"] = coordinator.url
    try:
        with reader.keeps_running(line), Client(coordinator.url) as client:
            wait_until(lambda: this_machine(client), 60, "this machine")
    finally:
        coordinator.stop()


def test_the_page_on_security_can_be_typed_line_by_line(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    issued = authority.issue("IP:127.0.0.1")
    shutil.copy(authority.ca, tmp_path / "ca.crt")
    tls = {"tls_certificate": str(issued.certificate), "tls_key": str(issued.key)}
    coordinator = RunningCoordinator(tmp_path / "data", **tls)
    coordinator.url = coordinator.url.replace("http:", "https:")
    coordinator.start()
    reader = lab_host(tmp_path, FITMATRIX_SERVER=coordinator.url, FITMATRIX_CA=str(authority.ca))
    reader.meant["https://10.0.0.1:8600"] = coordinator.url
    try:
        for line, said in GUARDED["docs/security.md"].items():
            if line.startswith("fitmatrix-agent run"):
                with (
                    reader.keeps_running(line),
                    Client(coordinator.url, token=reader.meant["fm_…"], ca=authority.ca) as client,
                ):
                    device = wait_until(lambda: this_machine(client), 60, "this machine")
                reader.meant["desk-a1b2c3"] = device.partition(".")[0]
                continue
            answer = reader.does(line, said)
            for kind in ("fm", "fmc"):
                # The first token is the administrator's.
                if found := re.findall(rf"\b{kind}_\S+", answer):
                    reader.meant.setdefault(f"{kind}_…", found[0])
    finally:
        coordinator.stop()
