"""The coordinator's key, and signatures under what it says."""

import base64
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from orchestrator.contract.fits import FITS_FORMAT, FitsDocument, Signature

KEY_FILE: Final = "fits-ed25519.pem"


class SigningError(Exception):
    """One sentence for people."""


class SigningKey:
    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_bytes = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @classmethod
    def load(cls, directory: Path) -> "SigningKey":
        """The key in this directory, made when there is none. Raises SigningError for a file that is no such key."""
        path = directory / KEY_FILE
        if not path.exists():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            made = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            try:
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                    stream.write(made)
            except FileExistsError:
                pass  # another process was faster; its key is the one
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError, OSError) as error:
            raise SigningError(f"{path} is not a private key in PEM without a passphrase: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SigningError(f"{path} is not an Ed25519 key: make one with `openssl genpkey -algorithm ed25519`")
        return cls(key)

    @property
    def key_id(self) -> str:
        return key_id(self.public_bytes)

    def signed(self, document: FitsDocument) -> bytes:
        """The document as JSON, with its signature."""
        content = document.model_dump(mode="json", exclude={"signature"})
        signature = Signature(
            key_id=self.key_id,
            public_key=base64.b64encode(self.public_bytes).decode(),
            value=base64.b64encode(self._key.sign(rfc8785.dumps(content))).decode(),
        )
        return json.dumps(content | {"signature": signature.model_dump(mode="json")}, indent=1).encode() + b"\n"


def key_id(public_bytes: bytes) -> str:
    return hashlib.sha256(public_bytes).hexdigest()


def verify(text: bytes, trusted: str | None) -> tuple[Signature, int]:
    """The signature and the number of cells of a `fits.json`.

    `trusted` is the id of the key that it has to be signed with; without one, whichever key it names. Raises
    SigningError for what is not as its signer wrote it.
    """
    try:
        content: dict[str, Any] = json.loads(text)
        signature = Signature.model_validate(content.pop("signature"))
        public_bytes = base64.b64decode(signature.public_key, validate=True)
        value = base64.b64decode(signature.value, validate=True)
        public = Ed25519PublicKey.from_public_bytes(public_bytes)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SigningError("this is not a signed fits.json, as `fitmatrix matrix --format fits` writes it") from error
    if content.get("format") != FITS_FORMAT:
        raise SigningError(f"this is {str(content.get('format'))[:100]!r}, of which only {FITS_FORMAT!r} is known here")
    if signature.key_id != key_id(public_bytes) or (trusted is not None and signature.key_id != trusted):
        raise SigningError(f"it is signed with another key: {key_id(public_bytes)}")
    try:
        public.verify(value, rfc8785.dumps(content))
    except (InvalidSignature, rfc8785.CanonicalizationError) as error:
        raise SigningError("it was changed after it was signed") from error
    return signature, len(content.get("cells", []))
