"""What every message has in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class Message(BaseModel):
    """An immutable message that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """An immutable message that a peer of the same contract version may have extended."""

    model_config = ConfigDict(extra="ignore", frozen=True)


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9._-]{0,98}[a-z0-9])?$")]
"""An identifier that is safe in a URL path, a file name and a queue name."""
RuntimeName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9._-]{0,38}[a-z0-9])?$")]
"""The library in the page that runs the model: a key of `webpayloads/runtimes.json`."""
Label = Annotated[str, StringConstraints(min_length=1, max_length=120)]
Text = Annotated[str, StringConstraints(max_length=20_000)]
Nonce = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""Random, made by whoever asks: what is asked again with the same one is the same request."""
Bytes = Annotated[int, Field(ge=0, le=2**50)]
AttemptNumber = Annotated[int, Field(ge=1, le=10**6)]
"""The fencing token of an attempt: small enough for every database's integers."""
Milliseconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
