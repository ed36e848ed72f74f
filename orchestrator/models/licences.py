"""Terms that the user has accepted: `<data>/licences.json`, a list that only grows."""

import fcntl
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from orchestrator.contract.base import Label, Message, Slug
from orchestrator.models.workspace import replace_text


class LicenceError(RuntimeError):
    """Terms stand between the user and a variant, or the record of their acceptance cannot be read."""


class Acceptance(Message):
    """That somebody who could build here accepted these terms; who, cannot be known."""

    terms: Label
    variant: Slug
    """The one whose build asked for it."""
    accepted_at: AwareDatetime
    version: Label
    """Of fitmatrix."""


_ACCEPTANCES = TypeAdapter(list[Acceptance])


def licences_path(data_dir: Path) -> Path:
    return data_dir / "licences.json"


def load_acceptances(data_dir: Path) -> list[Acceptance]:
    """In the order they were given. Raises LicenceError where the file is not what this module writes."""
    path = licences_path(data_dir)
    try:
        return _ACCEPTANCES.validate_json(path.read_bytes())
    except FileNotFoundError:
        return []
    except ValidationError as error:
        raise LicenceError(
            f"{path} is not a list of accepted terms: mend it, or move it away to be asked again"
        ) from error


def accepted_terms(data_dir: Path, variant: str, terms: str, accept: bool) -> Acceptance:
    """The acceptance on record; with `accept` a new one where there is none. Raises LicenceError otherwise."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "licences.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = load_acceptances(data_dir)
        for acceptance in known:
            if acceptance.terms == terms:
                return acceptance
        if not accept:
            raise LicenceError(
                f"its licence has to be accepted first: read the {terms}, then build with --accept-licence"
            )
        new = Acceptance(
            terms=terms, variant=variant, accepted_at=datetime.now(UTC), version=metadata.version("fitmatrix")
        )
        replace_text(licences_path(data_dir), _ACCEPTANCES.dump_json([*known, new], indent=1).decode())
        return new
