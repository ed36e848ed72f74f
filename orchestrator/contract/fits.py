"""`fits.json`: what the matrix says, for programs of others, with where each cell comes from and who says so.

The signature is Ed25519 (RFC 8032) over the canonical JSON (RFC 8785) of the document without its `signature`.
"""

from typing import Literal

from pydantic import AwareDatetime

from orchestrator.contract.base import Answer, Sha256
from orchestrator.contract.catalog import ModelFile
from orchestrator.contract.matrix import Cell

FITS_FORMAT: Literal["fitmatrix.fits/1"] = "fitmatrix.fits/1"


class Provenance(Answer):
    """Where a cell's newest result comes from."""

    run: str
    job: str
    finished_at: AwareDatetime | None
    browser_version: str | None
    files: list[ModelFile]
    """What was downloaded, by its SHA-256."""


class FitsCell(Cell):
    provenance: Provenance | None
    """Null for an imported cell: what is known of it is in `imported_from`."""


class Signature(Answer):
    algorithm: Literal["Ed25519"] = "Ed25519"
    canonicalization: Literal["RFC 8785"] = "RFC 8785"
    key_id: Sha256
    """SHA-256 of the public key's 32 bytes."""
    public_key: str
    """Its 32 bytes in base64. Whoever verifies should know it from elsewhere: a document can name any key."""
    value: str
    """In base64."""


class FitsDocument(Answer):
    format: Literal["fitmatrix.fits/1"] = FITS_FORMAT
    generated_at: AwareDatetime
    generator: str
    """Program and version."""
    source: str | None
    """The coordinator's public address."""
    cells: list[FitsCell]
    signature: Signature | None = None


class FitsKey(Answer):
    """The public key of a coordinator."""

    algorithm: Literal["Ed25519"] = "Ed25519"
    key_id: Sha256
    public_key: str
    """Its 32 bytes in base64."""
