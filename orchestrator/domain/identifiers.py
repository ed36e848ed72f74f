"""Names for jobs and runs."""

import secrets

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 12
_BITS = 5


def new_id(prefix: str) -> str:
    """A random identifier such as `r-7k2m9q4x0v1d`: 60 bits, safe in addresses and easy to read aloud."""
    number = secrets.randbits(_LENGTH * _BITS)
    return f"{prefix}-" + "".join(_ALPHABET[number >> shift & 31] for shift in range(0, _LENGTH * _BITS, _BITS))
