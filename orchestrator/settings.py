"""The coordinator's settings, from flags and the environment (`FITMATRIX_…`)."""

from pathlib import Path
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEFAULT_PORT = 8600


class StartupError(Exception):
    """The coordinator cannot start; the message is one sentence that says what to do."""


class CoordinatorSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FITMATRIX_", extra="ignore")

    data: Path = Field(default_factory=lambda: user_data_path("fitmatrix"))
    """Database, models, artifacts and the embedded broker's files."""
    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65_535)
    """0 takes any free port."""
    public_url: str | None = None
    """Where people and agents reach it, when that is a reverse proxy on the same machine: `https://lab.example`.
    Without one, a coordinator on loopback answers to this machine's own names alone."""
    broker_url: str | None = None
    """Redis or Valkey, `rediss://` for one that speaks TLS; without one an embedded Valkey is started."""
    agents_broker_url: str | None = None
    """How agents reach the broker, where they need another address than the coordinator."""
    tls_certificate: Path | None = None
    """PEM file, with the intermediate certificates if there are any: the API is then served over TLS."""
    tls_key: Path | None = None
    """PEM file with the certificate's private key, which nobody is asked a passphrase for."""
    ca: Path | None = None
    """Signs the broker's certificate, where no public authority does."""
    database_url: str | None = None
    """`postgresql+psycopg://user:password@host/name`; without one SQLite in the data directory."""
    blobs_url: str | None = None
    """`s3://bucket/prefix` for artifacts, with the usual AWS_… variables; without one the data directory."""
    lab: Path | None = None
    """YAML file with the lab's device classes, pools and maintenance windows; read again when it changes."""
    token: SecretStr | None = None
    """An administrator's token that always works and cannot be revoked: for the first steps, and for when all others
    are lost. Beyond loopback the coordinator wants this one or one of `fitmatrix tokens create --role admin`."""
    write_limit: str = "600/minute"
    """How often the holder of one token may change something: a number per second, minute, hour or day."""
    failure_limit: str = "60/minute"
    """How often wrong tokens may come from one address before it is no longer listened to."""
    lease_seconds: float = Field(default=30, gt=0, le=3600)
    heartbeat_seconds: float = Field(default=5, gt=0, le=600)
    health_hours: float = Field(default=24, gt=0, le=8760)
    """A device that has not shown for so long that it works gets a health run while it is idle."""
    health_variant: str | None = None
    """What a health run runs; by default the smallest built model on WASM, or the probe where there is none."""

    @field_validator("data")
    @classmethod
    def _absolute(cls, data: Path) -> Path:
        return data.expanduser().absolute()

    @field_validator("public_url")
    @classmethod
    def _origin(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("write it like https://lab.example, without a path")
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def is_loopback(self) -> bool:
        """Whether this machine's own users are all who can reach it."""
        return self.host in LOOPBACK and self.public_url is None

    @property
    def hosts(self) -> list[str]:
        """Names that requests may ask for, none for any: on loopback another site's name may lead there."""
        if self.host not in LOOPBACK:
            return []
        public = [name] if self.public_url and (name := urlsplit(self.public_url).hostname) else []
        return ["127.0.0.1", "localhost", "[::1]", *public]

    @property
    def scheme(self) -> str:
        return "http" if self.tls_certificate is None else "https"
