"""Records what a fitmatrix of an earlier schema wrote into its database: `python record.py SCHEMA.json`.

Run it in a checkout of that version, with `PYTHONPATH` set to it: README.md names the versions. It uses that version's
own coordinator and hand-played agent, so that nothing in the file is what today's code believes of then.
"""

import json
import sys
import tempfile
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, create_engine

from orchestrator.contract.fault import Fault
from orchestrator.contract.vocabulary import FaultCode, FaultOrigin, Phase
from tests.integration.coordinator.lab import HandAgent, Submitter, running_coordinator
from tests.waiting import wait_until

DOWNLOAD_FAILED = Fault(
    origin=FaultOrigin.COORDINATOR, code=FaultCode.DOWNLOAD, phase=Phase.PREPARE, transient=True, detail="no model"
)
OUT_OF_MEMORY = Fault(
    origin=FaultOrigin.DEVICE, code=FaultCode.OUT_OF_MEMORY, phase=Phase.INIT, transient=False, detail="too large"
)


def record(data: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows that a lab of one agent leaves: results of every kind, a run under way, one leased, the rest waiting."""
    with running_coordinator(data) as coordinator:
        agent = HandAgent(coordinator, agent_id="lab")
        with closing(agent):
            assert agent.enrol().status_code == 200
            qa = Submitter(coordinator, 'id == "lab.desk"')
            qa.submit(name="fits", labels={"build": "1"})
            spec = agent.receive()
            agent.start(spec)
            agent.report(spec)
            qa.submit(name="does not fit")
            spec = agent.receive()
            agent.start(spec)
            agent.report(spec, fault=OUT_OF_MEMORY, page=None)
            qa.submit(name="given up")
            for _ in range(3):
                spec = agent.receive()
                agent.start(spec)
                agent.report(spec, fault=DOWNLOAD_FAILED, page=None)
            qa.submit(name="under way", repeats=3, priority=70)
            spec = agent.receive()
            agent.start(spec)
            agent.report(spec, fault=DOWNLOAD_FAILED, page=None)
            spec = agent.receive()
            agent.start(spec)
            agent.beat(spec)
            qa.submit(name="waiting", repeats="auto")
            wait_until(lambda: qa.run(spec.run_id)["state"] == "running", what="the run under way")
            coordinator.kill()
    engine = create_engine(f"sqlite:///{data / 'fitmatrix.db'}")
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        rows = {
            table.name: [dict(row) for row in connection.execute(table.select()).mappings()]
            for table in tables.sorted_tables
        }
    engine.dispose()
    return rows


def plain(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} is no JSON")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        found = record(Path(scratch) / "data")
    Path(sys.argv[1]).write_text(json.dumps(found, indent=1, default=plain) + "\n")
