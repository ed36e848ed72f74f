"""The agent's settings, read once from the command line and `FITMATRIX_AGENT_…` variables."""

import socket
from pathlib import Path
from typing import Annotated, Final

import platformdirs
from pydantic import Field, SecretStr, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

GIB: Final = 1 << 30
_PREFIX: Final = "FITMATRIX_AGENT_"
ENROLMENT_TOKEN_VARIABLE: Final = f"{_PREFIX}TOKEN"


class AgentSettings(BaseSettings):
    """What a maintainer decides about one lab host."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True)

    coordinator: Annotated[str, StringConstraints(pattern=r"^https?://\S+$", strip_whitespace=True)]
    """Where the coordinator answers, such as `http://lab:8600`."""
    data: Path = Field(default_factory=lambda: platformdirs.user_data_path("fitmatrix") / "agent")
    """Identity, model cache and unsent reports of this host."""
    devices: Path | None = None
    """A file that declares emulated devices and flags; without it, this machine is the only device."""
    phones: bool = True
    """Take part with the phones that adb sees on this host, where there is adb."""
    appium: Path | None = None
    """Where Appium is installed; by default below `data`."""
    chrome: Path | None = None
    """The Chrome or Chromium to use instead of the one that is found."""
    ca: Path | None = None
    """Signs the certificates of the coordinator and the broker, where no public authority does."""
    token: SecretStr | None = None
    """A one-time code, or a token with the role agent: lets this host enrol the first time."""
    cache_gib: float = Field(default=50, gt=0, le=100_000)
    """How much of the disk cached models and pages may take."""
    metrics_port: int = Field(default=0, ge=0, le=65_535)
    """Where Prometheus finds this agent's metrics; 0 turns them off."""
    metrics_host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:-]{1,150}$")] = "127.0.0.1"
    """The address that the metrics are served on, and the coordinator tells Prometheus; metrics ask for no token."""

    @property
    def appium_home(self) -> Path:
        return self.appium or self.data / "appium"

    @property
    def metrics_address(self) -> str | None:
        """Where others find the metrics; None where there are none. By this host's name if on all its addresses."""
        if not self.metrics_port:
            return None
        host = socket.gethostname() if self.metrics_host in ("0.0.0.0", "::") else self.metrics_host  # noqa: S104 (asks whether it is)
        return f"[{host}]:{self.metrics_port}" if ":" in host else f"{host}:{self.metrics_port}"

    @property
    def cache_bytes(self) -> int:
        return int(self.cache_gib * GIB)
