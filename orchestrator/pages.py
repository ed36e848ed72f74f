"""The build of the model pages that this coordinator hands out."""

import hashlib
import json
import mimetypes
from pathlib import Path

import orchestrator
from orchestrator.blobs import BlobStore
from orchestrator.contract.attempt import PageBuild, PageBuildFile

PACKAGED_BUILD = Path(orchestrator.__file__).parent.parent / "webpayloads" / "dist"
MEDIA_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
}


class PagesMissingError(Exception):
    """There is no build of the pages."""


class PageBuilds:
    """The build in force and those of earlier runs, whose pages agents may still ask for."""

    def __init__(self, directory: Path, blobs: BlobStore) -> None:
        self._directory = directory
        self._blobs = blobs

    def add(self, source: Path) -> PageBuild:
        """Puts a build's files into the blob store; its id is the SHA-256 of its manifest."""
        if not (source / "index.html").is_file():
            raise PagesMissingError("the model pages are not built: run `make pages`")
        files = [
            PageBuildFile(
                path=path.relative_to(source).as_posix(),
                sha256=self._blobs.add_file(path),
                bytes=path.stat().st_size,
                media_type=media_type(path),
            )
            for path in sorted(source.rglob("*"))
            if path.is_file()
        ]
        manifest = json.dumps([file.model_dump() for file in files], sort_keys=True)
        build = PageBuild(id=hashlib.sha256(manifest.encode()).hexdigest(), files=files)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._path(build.id).write_text(build.model_dump_json())
        return build

    def get(self, build_id: str) -> PageBuild | None:
        """A build by its id, which must be a SHA-256 in lower-case hex."""
        try:
            return PageBuild.model_validate_json(self._path(build_id).read_text())
        except FileNotFoundError:
            return None

    def _path(self, build_id: str) -> Path:
        return self._directory / f"{build_id}.json"


def media_type(path: Path) -> str:
    """By suffix, from our own table first: a page's scripts must not depend on the host's MIME database."""
    return MEDIA_TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
