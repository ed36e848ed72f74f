"""Several hosts: whom they trust, and what happens when one of them is cut off, slow, late or back."""

import pytest

from orchestrator.client import Client, Unreachable, Untrusted
from orchestrator.contract.views import JobView
from orchestrator.contract.vocabulary import Verdict
from tests.acceptance.hosts.lab import AgentHost, HostsLab
from tests.acceptance.lab import TINY
from tests.certificates import Authority
from tests.workbench import SHORT

LENIENT = {"max_latency_seconds": 60, "min_decode_tokens_per_second": 0.1}
"""What breaks is the subject here, not how fast a busy machine is."""


def submit(hosts: HostsLab, variant: str, *agents: AgentHost, repeats: int = 1, **workload: int) -> JobView:
    """A job for the devices of some hosts."""
    names = " || ".join(f'name == "{agent.host}"' for agent in agents)
    job = {
        "name": f"{variant} on {names}",
        "variants": [variant],
        "backends": ["wasm"],
        "devices": names,
        "repeats": repeats,
        "criteria": LENIENT,
        "workload": {task: short | {k: v for k, v in workload.items() if k in short} for task, short in SHORT.items()},
    }
    return hosts.qa.submit(job)


def test_both_hosts_enrol_and_one_job_runs_on_both_into_one_matrix(hosts: HostsLab) -> None:
    job = submit(hosts, TINY, hosts.one, hosts.two, repeats=2)
    runs = hosts.finished(job)
    assert [run.verdict for run in runs] == [Verdict.FITS] * 4
    cells = [cell for cell in hosts.qa.matrix().cells if cell.variant == TINY]
    assert sorted((cell.device_name, cell.runs) for cell in cells) == [("one", 2), ("two", 2)]
    assert hosts.one.running.pid != hosts.two.running.pid


def test_who_is_not_trusted_is_told_so(hosts: HostsLab, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = {device.registration.id for device in hosts.qa.devices()}
    stranger = Authority(tmp_path_factory.mktemp("stranger"), "stranger")
    code, said = hosts.one.refused(ca=stranger.ca)
    assert (code, "no authority that this machine trusts has signed its certificate" in said) == (3, True), said
    assert hosts.token not in said
    code, said = hosts.one.refused(token="a-guess")
    assert (code, "the coordinator refused this agent" in said) == (4, True), said
    assert "FITMATRIX_AGENT_TOKEN" in said
    assert "a-guess" not in said
    with Client(hosts.coordinator.url, token=hosts.token, ca=stranger.ca) as client, pytest.raises(Untrusted):
        client.devices()
    plain = hosts.coordinator.url.replace("https", "http")
    with Client(plain, token=hosts.token) as client, pytest.raises(Unreachable, match="write https:// instead"):
        client.devices()
    assert {device.registration.id for device in hosts.qa.devices()} == before
