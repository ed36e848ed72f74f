"""Two coordinators on one PostgreSQL and one broker: what one is told wakes the dispatcher of the other."""

from contextlib import ExitStack, closing
from pathlib import Path

from tests.integration.coordinator.lab import HandAgent, Submitter, running_coordinator
from tests.postgres import PostgresCluster

LEASE_SECONDS = 1_200.0
"""Two minutes from one sweep to the next: none comes while this test goes on."""


def test_the_standby_wakes_the_dispatcher_that_leads(tmp_path: Path, postgres: PostgresCluster) -> None:
    shared = {"database_url": postgres.new_database(), "lease_seconds": f"{LEASE_SECONDS:g}"}
    with ExitStack() as stack:
        leader = stack.enter_context(running_coordinator(tmp_path / "leader", **shared))
        password, port = ((leader.data / "broker" / name).read_text() for name in ("password", "port"))
        shared["broker_url"] = f"redis://:{password}@127.0.0.1:{port}/0"
        standby = stack.enter_context(running_coordinator(tmp_path / "standby", **shared))
        agent = stack.enter_context(closing(HandAgent(standby)))
        assert agent.enrol().status_code == 200
        qa = stack.enter_context(closing(Submitter(standby)))
        job = qa.submit(repeats=2)  # the second is found when the standby is told of the first one's end
        for _ in range(2):
            assert agent.report(agent.take()).json()["counted"] is True
        assert qa.job(job)["state"] == "finished"
