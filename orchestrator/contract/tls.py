"""Whom a client trusts, and what went wrong between it and a coordinator, in words."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_CLOCK: Final = {
    9: "its certificate is not valid yet: compare the clocks of both machines",
    10: "its certificate has expired: renew it on the coordinator, and check this machine's clock",
}
_WRONG_NAME: Final = frozenset({62, 64})
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH."""
_NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
"""How versions of OpenSSL call an answer that is no TLS."""


class TrustError(Exception):
    """The CA file cannot be used; the text is a sentence for people."""


def trust(ca: Path | None) -> ssl.SSLContext | bool:
    """What httpx takes as `verify`: certificates signed by `ca` alone, or by the public authorities without one.

    Raises TrustError.
    """
    if ca is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise TrustError(f"the CA file {ca} holds no certificate: give one in PEM format") from error
    except OSError as error:
        raise TrustError(f"the CA file {ca} cannot be read: {error.strerror}") from error


def broker_tls(broker_url: str, ca: Path | None) -> dict[str, Any] | None:
    """What Celery takes as `broker_use_ssl`; None where the address asks for no TLS."""
    if not broker_url.startswith("rediss://"):
        return None
    # Named although it is the default of redis-py: kombu's own is not to check.
    options = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    return options if ca is None else options | {"ssl_ca_certs": str(ca)}


def untrusted(error: BaseException, *, setting: str) -> str | None:
    """Why the other side's certificate was refused; None when that was not what went wrong.

    `setting` is how people name a CA file to the program that speaks.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            if cause.verify_code in _WRONG_NAME:
                return "its certificate was made for another name: use an address that the certificate names"
            return _CLOCK.get(
                cause.verify_code,
                "no authority that this machine trusts has signed its certificate: name the file of the one that has "
                f"with {setting}",
            )
    return None


def misspoken(error: BaseException, url: str) -> str | None:
    """What to change in an address whose scheme is not what is spoken there; None when that is not the matter."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError) and cause.reason in _NOT_TLS:
            return "it does not speak TLS there: write http:// instead of https://"
    hung_up = any(type(cause).__name__ == "RemoteProtocolError" for cause in _causes(error))
    if url.startswith("http://") and hung_up:
        return "it hung up without a word: if it speaks TLS, write https:// instead of http://"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
