"""Several hosts: whom they trust, and what happens when one of them is cut off, slow, late or back."""

from datetime import timedelta

import pytest

from orchestrator.client import Client, Unreachable, Untrusted
from orchestrator.contract.catalog import ModelFile
from orchestrator.contract.views import AttemptView, JobView, RunDetail
from orchestrator.contract.vocabulary import AttemptState, FaultCode, RunState, Verdict
from tests.acceptance.hosts.lab import LEASE_SECONDS, AgentHost, HostsLab
from tests.acceptance.lab import MINILM, TINY
from tests.certificates import Authority
from tests.processes import commands
from tests.waiting import wait_until
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


def states(hosts: HostsLab, job: JobView) -> list[AttemptState]:
    """Of the attempts of the job's only run."""
    return [attempt.state for attempt in hosts.attempts(job)]


def in_the_browser(hosts: HostsLab, job: JobView, agent: AgentHost) -> None:
    """Waits until the job's only run is being measured."""
    wait_until(lambda: states(hosts, job) == [AttemptState.RUNNING] and agent.browsers(), 60, "a run in a browser")


def cell_runs(hosts: HostsLab, variant: str, agent: AgentHost, label: str) -> int:
    cells = hosts.qa.matrix().cells
    return sum(
        cell.runs
        for cell in cells
        if (cell.variant, cell.device_name) == (variant, agent.host) and label in cell.workload
    )


def largest_file(hosts: HostsLab, variant: str) -> ModelFile:
    (found,) = [one for one in hosts.qa.models() if one.variant.id == variant]
    return max(found.variant.files, key=lambda file: file.bytes)


def lost_and_reported(run: RunDetail) -> tuple[AttemptView, AttemptView]:
    """The attempt that was cut off, and the one that counts."""
    lost, *between, reported = run.attempt_list
    assert (lost.state, reported.state) == (AttemptState.LOST, AttemptState.REPORTED)
    # These short leases may run out again while the host takes the old browser down.
    assert [(one.state, one.started_at) for one in between] == [(AttemptState.LOST, None)] * len(between)
    return lost, reported


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


def test_a_host_cut_off_in_the_middle_reports_late_and_is_not_counted(hosts: HostsLab) -> None:
    undisturbed = submit(hosts, TINY, hosts.two, repeats=3)
    job = submit(hosts, TINY, hosts.one, repetitions=100, generated_tokens=64)
    counted = cell_runs(hosts, TINY, hosts.one, label="tg64")
    in_the_browser(hosts, job, hosts.one)
    with hosts.network.cut("one"):
        wait_until(lambda: states(hosts, job) == [AttemptState.LOST], 60, "a lost attempt")
        wait_until(hosts.one.waiting_reports, 90, "a report that nobody takes")
        assert [run.attempts for run in hosts.finished(undisturbed)] == [1] * 3
    (run,) = hosts.finished(job)
    assert (run.state, run.verdict) == (RunState.FINISHED, Verdict.FITS)
    lost, _ = lost_and_reported(run)
    assert lost.late_reports == 1
    assert lost.fault is not None
    assert lost.fault.code is FaultCode.LEASE_EXPIRED
    assert lost.report is not None
    assert lost.report.page is not None
    assert lost.report.page.completed, "the evidence that it had measured to the end"
    assert cell_runs(hosts, TINY, hosts.one, label="tg64") == counted + 1
    assert hosts.one.waiting_reports() == []


def test_a_host_that_comes_back_after_its_lease_expired_stops_what_it_was_doing(hosts: HostsLab) -> None:
    job = submit(hosts, MINILM, hosts.one, length=256, repetitions=60)
    in_the_browser(hosts, job, hosts.one)
    with hosts.network.cut("one"):
        wait_until(lambda: states(hosts, job) == [AttemptState.LOST], 60, "a lost attempt")
        browsers = hosts.one.browsers()
        assert browsers, "it should still be measuring"
    wait_until(lambda: not any(browser.is_running() for browser in browsers), 30, "the end of the fenced attempt")
    (run,) = hosts.finished(job)
    lost, _ = lost_and_reported(run)
    assert lost.late_reports == 1
    assert lost.report is not None
    assert lost.report.fault is not None
    assert lost.report.page is None
    wait_until(lambda: not hosts.one.waiting_reports(), what="an empty spool")


def test_a_host_that_lost_its_power_cleans_up_and_works_on(hosts: HostsLab) -> None:
    job = submit(hosts, MINILM, hosts.two, length=256, repetitions=20)
    in_the_browser(hosts, job, hosts.two)
    hosts.two.kill()
    wait_until(lambda: states(hosts, job) == [AttemptState.LOST], 60, "a lost attempt")
    hosts.two.start()
    (run,) = hosts.finished(job)
    lost_and_reported(run)
    hosts.wait_idle()


def test_heartbeats_keep_the_lease_while_a_model_comes_over_a_slow_link(hosts: HostsLab) -> None:
    file = largest_file(hosts, MINILM)
    hosts.one.forget(file.sha256)
    with hosts.network.slow("one", megabits=16):
        job = submit(hosts, MINILM, hosts.one)
        (run,) = hosts.finished(job)
    (attempt,) = run.attempt_list
    assert (run.verdict, attempt.state) == (Verdict.FITS, AttemptState.REPORTED)
    assert attempt.started_at is not None
    assert attempt.finished_at is not None
    taken = (attempt.finished_at - attempt.started_at).total_seconds()
    assert taken > file.bytes * 8 / 16e6 > 2 * LEASE_SECONDS


def test_a_download_that_was_cut_off_is_taken_up_where_it_ended(hosts: HostsLab) -> None:
    file = largest_file(hosts, MINILM)
    hosts.two.forget(file.sha256)
    received = hosts.network.received_bytes("two")
    with hosts.network.slow("two", megabits=24):
        job = submit(hosts, MINILM, hosts.two)
        wait_until(lambda: hosts.two.part_bytes(file.sha256) > file.bytes // 2, 60, "half of the model")
        with hosts.network.cut("two"):
            wait_until(lambda: states(hosts, job) == [AttemptState.LOST], 60, "a lost attempt")
            assert hosts.two.part_bytes(file.sha256) > file.bytes // 2
    (run,) = hosts.finished(job)
    assert run.verdict is Verdict.FITS
    assert run.attempt_list[-1].state is AttemptState.REPORTED
    received = hosts.network.received_bytes("two") - received
    assert file.bytes < received < file.bytes * 1.4


def test_a_broker_that_comes_back_empty_loses_no_run(hosts: HostsLab) -> None:
    job = submit(hosts, TINY, hosts.one, hosts.two, repeats=3)
    wait_until(lambda: hosts.qa.job(job.id).runs.finished > 0, 60, "a first result")
    hosts.broker.kill()
    meanwhile = submit(hosts, TINY, hosts.one, hosts.two)
    hosts.broker.start()
    for run in [*hosts.finished(job), *hosts.finished(meanwhile)]:
        assert (run.state, run.verdict) == (RunState.FINISHED, Verdict.FITS)


def test_a_host_whose_clock_is_ten_minutes_ahead_measures_like_any_other(hosts: HostsLab) -> None:
    ahead = timedelta(minutes=10)
    hosts.two.stop()
    hosts.two.start_with_clock(ahead)
    try:
        (run,) = hosts.finished(submit(hosts, TINY, hosts.two))
    finally:
        hosts.two.stop()
        hosts.two.start()
    (attempt,) = run.attempt_list
    assert (run.verdict, attempt.state) == (Verdict.FITS, AttemptState.REPORTED)
    assert attempt.report is not None
    assert attempt.started_at is not None
    assert attempt.finished_at is not None
    assert attempt.report.started_at - attempt.finished_at > ahead / 2, "the report's times are the host's own"
    assert attempt.finished_at - attempt.started_at < ahead / 2
    hosts.wait_idle()


def test_no_secret_is_in_a_log_or_on_a_command_line(hosts: HostsLab) -> None:
    hosts.wait_idle()
    processes = [hosts.database, hosts.broker, hosts.coordinator, *hosts.agents]
    lines = [" ".join(command) for _, command in commands(hosts.network.processes())]
    assert len(lines) >= len(processes) + len(hosts.agents)
    for text in [*lines, *(process.said() for process in processes)]:
        for secret in (hosts.token, hosts.broker.password, hosts.database.password):
            assert secret not in text
    assert [process.said() for process in processes if "Traceback" in process.said()] == []
