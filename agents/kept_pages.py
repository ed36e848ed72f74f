"""The pages of the last attempts, kept so that a maintainer can open one by hand, also after a restart."""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError

from agents.attempt_page import AttemptPage
from orchestrator.contract.page import PageSpec

KEPT_PAGES: Final = 100


class _Kept(BaseModel):
    """What a page needs to be served again; its files lie in the model cache and may have left it since."""

    spec: PageSpec
    files: dict[str, Path]
    media_types: dict[str, str]


class KeptPages:
    """Safe to use from any thread. Without a directory, pages are kept in memory alone."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._pages: OrderedDict[str, AttemptPage] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, page: AttemptPage) -> None:
        with self._lock:
            self._remember(page)
            if self._directory is None:
                return
            self._directory.mkdir(parents=True, exist_ok=True)
            kept = _Kept(spec=page.spec, files=dict(page.files), media_types=dict(page.media_types))
            (self._directory / f"{page.spec.attempt}.json").write_text(kept.model_dump_json())
            for old in sorted(self._directory.iterdir(), key=lambda file: file.stat().st_mtime_ns)[:-KEPT_PAGES]:
                old.unlink()

    def find(self, attempt: str, origin: str) -> AttemptPage | None:
        """The page of an attempt; one that comes back from disk is over, and hears nothing."""
        with self._lock:
            page = self._pages.get(attempt)
            if page is None and self._directory is not None and Path(attempt).name == attempt:
                page = _load(self._directory / f"{attempt}.json", origin)
                if page is not None:
                    self._remember(page)
            return page

    def _remember(self, page: AttemptPage) -> None:
        self._pages[page.spec.attempt] = page
        while len(self._pages) > KEPT_PAGES:
            self._pages.popitem(last=False)


def _load(file: Path, origin: str) -> AttemptPage | None:
    try:
        kept = _Kept.model_validate_json(file.read_text())
    except (OSError, ValidationError):
        return None
    page = AttemptPage(origin, kept.spec, kept.files, kept.media_types, lambda: None)
    page.close()
    return page
