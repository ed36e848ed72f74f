"""Where things lie below an agent's data directory."""

from dataclasses import dataclass
from pathlib import Path

from agents.file_lock import FileLock


@dataclass(frozen=True)
class DataLayout:
    root: Path

    @property
    def agent_id(self) -> Path:
        return self.root / "agent-id"

    @property
    def token(self) -> Path:
        """The agent's own, which it enrols with again after a restart."""
        return self.root / "agent-token"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def status(self) -> Path:
        """What the running agent says of its devices, for whoever asks on this host."""
        return self.root / "status.json"

    def supervisor_lock(self) -> FileLock:
        return FileLock(self.root / "supervisor.lock")

    def worker_lock(self, device_id: str) -> FileLock:
        return FileLock(self.root / "devices" / device_id / "worker.lock")

    def hardware_lock(self, group: str) -> FileLock:
        """Of the devices that share hardware: whoever has it is the only one of them that measures."""
        return FileLock(self.root / "hardware" / f"{group}.lock")

    def page_port(self, device_id: str) -> Path:
        return self.root / "devices" / device_id / "page-port"

    def page_ports(self) -> list[int]:
        """Those that are remembered for any device."""
        files = sorted((self.root / "devices").glob("*/page-port"))
        return [int(text) for text in (file.read_text().strip() for file in files) if text.isdecimal()]

    def scratch(self, device_id: str) -> Path:
        return self.root / "devices" / device_id / "scratch"

    def pages(self, device_id: str) -> Path:
        return self.root / "devices" / device_id / "pages"
