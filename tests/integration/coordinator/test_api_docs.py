"""The snippets of docs/api.md do what the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

from orchestrator.domain.signatures import new_secret, signed_headers
from tests.integration.coordinator.lab import HandAgent, running_coordinator
from tests.unit.domain.builders import NOW

PAGE = Path(__file__).parents[3] / "docs" / "api.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def snippet(with_words: str) -> str:
    (found,) = (one for one in SNIPPETS if with_words in one)
    return str(found)


def test_a_job_is_submitted_waited_for_and_followed(tmp_path: Path) -> None:
    with running_coordinator(tmp_path / "data") as coordinator:
        agent = HandAgent(coordinator)
        agent.enrol()
        environment = os.environ | {"FITMATRIX_SERVER": coordinator.url}

        def python(code: str) -> "subprocess.Popen[str]":
            command = [sys.executable, "-W", "error", "-c", code]
            return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

        submitting, following = python(snippet("client.submit(")), python(snippet("client.events("))
        agent.report(agent.take())
        said, _ = submitting.communicate(timeout=60)
        assert submitting.returncode == 0
        assert "finished 1 runs finished, 0 inconclusive" in said
        assert "gemma3-tiny.litertlm wasm" in said
        followed, _ = following.communicate(timeout=60)
        assert following.returncode == 0
        assert [line.split()[2:] for line in followed.splitlines()][-1][-1] == "finished"
        listing = python(snippet("AsyncClient("))
        listed, _ = listing.communicate(timeout=60)
        assert listing.returncode == 0
        assert listed.split()[1:] == ["smoke", "finished"]
        agent.close()


def test_a_signature_is_checked_by_hand() -> None:
    names: dict[str, object] = {}
    exec(compile(snippet("def is_genuine"), str(PAGE), "exec"), names)
    is_genuine = names["is_genuine"]
    assert callable(is_genuine)
    secret, body = new_secret(), b'{"type":"ping"}'
    headers = signed_headers(secret, "msg-1", NOW, body)
    assert is_genuine(secret, headers, body)
    assert not is_genuine(secret, headers, body + b" ")
    assert not is_genuine(new_secret(), headers, body)
