"""What a coordinator shows beyond its own machine: its certificate, and what is better not left open."""

import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from orchestrator.settings import LOOPBACK, CoordinatorSettings, StartupError


def check_tokens(settings: CoordinatorSettings, administrators: int) -> None:
    """Raises StartupError for a coordinator that everybody on the network could use.

    `administrators` is how many tokens of the role admin are good.
    """
    if not settings.is_loopback and settings.token is None and administrators == 0:
        raise StartupError(
            f"refusing to listen on {settings.public_url or settings.host} without a token: set FITMATRIX_TOKEN, or "
            "listen on 127.0.0.1 alone and make one with `fitmatrix tokens create NAME --role admin`"
        )


def check_certificate(settings: CoordinatorSettings) -> None:
    """Raises StartupError when the certificate and its key cannot be served; does nothing where there are none."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        missing = "FITMATRIX_TLS_CERTIFICATE" if certificate is None else "FITMATRIX_TLS_KEY"
        raise StartupError(f"TLS needs a certificate and its key: set {missing} as well")
    for file in (certificate, key):
        try:
            file.read_bytes()
        except OSError as error:
            raise StartupError(f"{file} cannot be read for TLS: {error.strerror}") from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_passphrase)
    except ssl.SSLError as error:
        what = "belong to different keys" if error.reason == "KEY_VALUES_MISMATCH" else "cannot be used"
        raise StartupError(
            f"{certificate} and {key} {what}: give a certificate and its own private key, both as PEM and the key "
            "without a passphrase"
        ) from error


def exposures(settings: CoordinatorSettings, agents_broker_url: str) -> Iterator[str]:
    """Sentences on what agents of other machines cannot reach, or others could read on the way."""
    if settings.is_loopback:
        return
    if settings.tls_certificate is None and not (settings.public_url or "").startswith("https://"):
        yield (
            "tokens and results are sent unencrypted: give --tls-certificate and --tls-key, or put a proxy that speaks "
            "TLS in front"
        )
    broker = urlsplit(agents_broker_url)
    if broker.hostname in LOOPBACK:
        yield (
            f"agents on other machines cannot reach the broker at {broker.hostname}: run a Redis or Valkey that they "
            "can reach, and set FITMATRIX_BROKER_URL"
        )
    elif broker.scheme == "redis":
        yield "the broker's password and all attempts are sent to agents unencrypted: use a rediss:// address"


def _no_passphrase() -> str:
    """Instead of OpenSSL's question on the terminal, which nobody would answer."""
    return ""
