"""Giving up what has waited too long."""

from orchestrator.services.outcomes import finish_job_if_done
from orchestrator.services.ports import Clock, Store


class Expiry:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def expire_due(self) -> int:
        """Expires the queued runs whose time is over before their first attempt; returns how many jobs they are of.

        A run that an attempt has brought back to the queue has begun: it goes on.
        """
        now = self._clock()
        with self._store.read() as tx:
            if not tx.waiting_runs.are_due(now):
                return 0
        with self._store.write() as tx:
            jobs = tx.waiting_runs.expire(now)
            for job_id in jobs:
                finish_job_if_done(tx, job_id, now)
        return len(jobs)
