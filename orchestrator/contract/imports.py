"""What others have measured, brought in beside our own: never mixed with it."""

from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from orchestrator.contract.base import Answer, Label, Message, RuntimeName
from orchestrator.contract.job import Criteria
from orchestrator.contract.vocabulary import Backend, FaultCode, Phase, Verdict, Weights

IMPORT_FORMAT: Final = "fitmatrix.import/1"
LUDION_SCHEMAS: Final = ("ludion.bench.v0", "entelic.bench.v0")
"""The second is the first's older name."""
MOST_ROWS: Final = 5_000
MOST_VALUES: Final = 100

Measured = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]


class ImportedDevice(Message):
    id: Label
    """Tells this device from others of the same file."""
    name: Label
    model: Label
    device_class: Label = "unknown"
    gpu: Label | None = None


class ImportedFault(Message):
    code: FaultCode
    phase: Phase | None = None
    runs: int = Field(ge=1, le=1_000_000)


class ImportedRow(Message):
    """All runs of one variant on one backend of one device, in one browser."""

    variant: Label
    model: Label
    parameters: int = Field(default=0, ge=0, le=10**13)
    """0: not known."""
    quantization: Annotated[str, StringConstraints(max_length=60)] = ""
    weights: Weights = Weights.TRAINED
    runtime: RuntimeName
    runtime_version: Annotated[str, StringConstraints(max_length=60)] = ""
    backend: Backend
    workload: Label
    criteria: Criteria = Field(default_factory=Criteria)
    device: ImportedDevice
    browser: Annotated[str, StringConstraints(pattern=r"^\S+( \S+){1,3}$", max_length=120)]
    """Name and version, such as `chrome 126.0.1`."""
    verdicts: dict[Verdict, Annotated[int, Field(ge=1, le=1_000_000)]] = Field(min_length=1)
    """How many runs ended how."""
    faults: list[ImportedFault] = Field(default_factory=list, max_length=20)
    samples: dict[str, list[Measured]] = Field(default_factory=dict, max_length=40)
    """Measured values by the figure's name in `Cell`, such as `decode_tokens_per_second`."""
    model_bytes: int = Field(default=0, ge=0, le=2**50)
    measured_at: AwareDatetime


class ImportDocument(Message):
    """The documented form."""

    format: Literal["fitmatrix.import/1"]
    rows: list[ImportedRow] = Field(min_length=1, max_length=MOST_ROWS)


class ImportUpload(Message):
    document: dict[str, Any]
    """An `ImportDocument`, or a document of `ludion.bench.v0`."""


class ImportView(Answer):
    name: str
    format: str
    created_at: AwareDatetime
    created_by: str
    cells: int
    runs: int
    left_out: int
    """Runs of which the document does not say enough, such as on which backend."""
