"""Following a coordinator's events beside a test, which waits for one only so long."""

import threading

from orchestrator.client import Client, ClientError
from orchestrator.contract.events import Event, EventsReset
from tests.waiting import wait_until


class Follower:
    """Keeps what it is told, on a thread of its own."""

    def __init__(self, url: str, **wanted: object) -> None:
        self.told: list[Event | EventsReset] = []
        self.ended: ClientError | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, args=(url, wanted), daemon=True)
        self._thread.start()

    def _follow(self, url: str, wanted: dict[str, object]) -> None:
        with Client(url) as client:
            try:
                for told in client.events(**wanted):  # type: ignore[arg-type]  # of any of its parameters
                    self.told.append(told)
                    if self._stopped.is_set():
                        return
            except ClientError as error:
                self.ended = error

    def wait_for(self, subject: str, state: str) -> None:
        """Fails the test when there is no such event in time: a stream of events has no end."""
        wait_until(lambda: state in self.states(subject), what=f"an event that {subject} is {state}")

    def states(self, subject: str) -> list[str]:
        return [one.state for one in self.told if isinstance(one, Event) and one.subject == subject]

    @property
    def ids(self) -> list[int]:
        return [one.id for one in self.told]

    def stop(self) -> None:
        self._stopped.set()
