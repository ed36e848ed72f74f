"""Names for jobs and runs."""

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 12


def new_id(prefix: str) -> str:
    """A random identifier such as `r-7k2m9q4x0v1d`: 60 bits, safe in addresses and easy to read aloud."""
    return f"{prefix}-" + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
