"""What the pages of jobs, runs and devices ask, answered by the use cases."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from fastapi.responses import Response

from orchestrator.blob_answers import BlobAnswers
from orchestrator.contract.device import DeviceHealth
from orchestrator.contract.views import DeviceView, Explanation, JobView, Listing, RunDetail, RunView
from orchestrator.domain.errors import NotFoundError
from orchestrator.domain.lab_plan import Window
from orchestrator.services.histories import Histories, PastAttempt, TimeLeft
from orchestrator.services.paging import MOST_ITEMS, Page
from orchestrator.services.reading import JobQuery, Reading, RunQuery
from orchestrator.services.waiting import Waiting

MOST_ATTEMPTS: Final = 20_000
"""Of a job, that are drawn; the newest."""
_Found = TypeVar("_Found")


class LabReads:
    """None stands for what there is not."""

    def __init__(self, reading: Reading, waiting: Waiting, histories: Histories, blobs: BlobAnswers) -> None:
        self._reading = reading
        self._waiting = waiting
        self._histories = histories
        self._blobs = blobs

    def jobs(self, query: JobQuery, page: Page) -> Listing[JobView]:
        return self._reading.jobs(query, page)

    def submitters(self) -> Sequence[str]:
        return self._histories.submitters()

    def job(self, job_id: str) -> JobView | None:
        return _or_none(lambda: self._reading.job(job_id))

    def runs(self, query: RunQuery, page: Page) -> Listing[RunView]:
        return self._reading.runs(query, page)

    def devices_of(self, job_id: str) -> Sequence[tuple[str, str]]:
        return self._histories.devices(job_id)

    def attempts(self, job_id: str) -> Sequence[PastAttempt]:
        return self._histories.attempts(job_id, MOST_ATTEMPTS)

    def time_left(self, job_id: str) -> TimeLeft | None:
        return _or_none(lambda: self._histories.time_left(job_id))

    def cancelled_by(self, job_id: str, run_id: str | None = None) -> str | None:
        return self._histories.cancelled_by(job_id=job_id, run_id=run_id)

    def run(self, run_id: str) -> RunDetail | None:
        return _or_none(lambda: self._reading.run(run_id))

    def waits_for(self, run_id: str) -> Explanation:
        return self._waiting.explain(run_id)

    def artifact(
        self, sha256: str, asked_range: str | None, media_type: str, headers: Mapping[str, str]
    ) -> Response | None:
        return self._blobs.answer(sha256, asked_range, media_type, headers)

    def artifact_content(self, sha256: str, most_bytes: int) -> bytes | None:
        return self._blobs.content(sha256, most_bytes)

    def device(self, device_id: str) -> DeviceView | None:
        return _or_none(lambda: self._reading.device(device_id))

    def devices(self, page: Page, wanted: Callable[[DeviceView], bool] | None) -> Listing[DeviceView]:
        """By their ids, and only those that are wanted; most of them may have to be looked at."""
        if wanted is None:
            return self._reading.device_page(page)
        found: list[DeviceView] = []
        part = Page(MOST_ITEMS, page.cursor)
        while True:
            listing = self._reading.device_page(part)
            for device in listing.items:
                if wanted(device):
                    found.append(device)
                if len(found) > page.limit:
                    last = found[page.limit - 1].registration.id
                    return Listing(items=found[: page.limit], next=self._reading.device_cursor(last))
            if listing.next is None:
                return Listing(items=found)
            part = Page(MOST_ITEMS, listing.next)

    def health(self, device_id: str) -> list[DeviceHealth]:
        return self._histories.health(device_id)

    def windows(self, device_id: str) -> Sequence[Window]:
        return self._histories.windows(device_id)


def _or_none(ask: Callable[[], _Found]) -> _Found | None:
    try:
        return ask()
    except NotFoundError:
        return None
