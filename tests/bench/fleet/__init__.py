"""A fleet of simulated devices: agents that speak the real protocol, devices that answer by a stated model.

Real: HTTP requests over keep-alive connections to a running coordinator (enrol, heartbeat, start, report) with bodies
of the contract; Celery messages, taken from each device's own queue `device.<id>` at the real broker with the commands
that kombu sends, and decoded by kombu; tokens, leases, fencing, refusals, retries; the supervisor's habits (one report
after the other, reports kept until they are acknowledged, attempts that a death interrupted reported as lost).

Not real: there is no browser, no page, no phone and no disk. A device waits as long as the model says and answers with
a report that was serialised beforehand, in which only ids and moments are put in. Page builds and model files are not
fetched, artifacts are not sent. Each agent listens at the broker for all of its devices on one connection, where a lab
host has a Celery worker, and so a connection, for each device; a message for a device that is still busy waits in the
agent's memory instead of in its queue.
"""

from tests.bench.fleet.fleet import Fleet
from tests.bench.fleet.log import Beat, Counters, Ending, Entry
from tests.bench.fleet.model import Model

__all__ = ["Beat", "Counters", "Ending", "Entry", "Fleet", "Model"]
