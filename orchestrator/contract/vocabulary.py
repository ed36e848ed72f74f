"""The words of the field, one per thing (docs/architecture.md explains each)."""

from enum import StrEnum


class Backend(StrEnum):
    WEBGPU = "webgpu"
    WASM = "wasm"


class Task(StrEnum):
    """What a model is for; it decides the workload."""

    TEXT_GENERATION = "text-generation"
    TEXT_CLASSIFICATION = "text-classification"
    FEATURE_EXTRACTION = "feature-extraction"
    FILL_MASK = "fill-mask"
    PROBE = "probe"
    """No model at all: what the device's browser can do, found out before anything is downloaded."""


class Protocol(StrEnum):
    """How a workload's repetitions are organised."""

    STANDARD = "standard"
    """Warm-up, then the repetitions: the figures are medians."""
    SUSTAINED = "sustained"
    """Many repetitions without a pause: the last ones against the first ones are the throttling ratio."""
    LOAD = "load"
    """The model is loaded twice, from the network and then from the browser's caches, before it runs."""


class CacheState(StrEnum):
    """Of the browser's caches when a model is loaded."""

    COLD = "cold"
    WARM = "warm"


class Weights(StrEnum):
    TRAINED = "trained"
    SYNTHETIC = "synthetic"
    """True shapes, random values: right for size, memory and speed, meaningless as text."""


class Phase(StrEnum):
    """Where an attempt is, in order."""

    PREPARE = "prepare"
    LAUNCH = "launch"
    OPEN = "open"
    DOWNLOAD = "download"
    INIT = "init"
    WARMUP = "warmup"
    MEASURE = "measure"
    VALIDATE = "validate"
    COLLECT = "collect"
    CLEANUP = "cleanup"


class FaultOrigin(StrEnum):
    """Who failed. Only `page`, `browser` and `device` speak of the model; the rest is infrastructure."""

    PAGE = "page"
    BROWSER = "browser"
    DEVICE = "device"
    AGENT = "agent"
    COORDINATOR = "coordinator"


class FaultCode(StrEnum):
    NO_WEBGPU = "no-webgpu"
    UNSUPPORTED_FEATURE = "unsupported-feature"
    LIMIT_EXCEEDED = "limit-exceeded"
    OUT_OF_MEMORY = "out-of-memory"
    DEVICE_LOST = "device-lost"
    CRASH = "crash"
    STORAGE_QUOTA = "storage-quota"
    """The browser's own quota for a page."""
    DOWNLOAD = "download"
    BAD_MODEL = "bad-model"
    WRONG_OUTPUT = "wrong-output"
    NOT_MEASURED = "not-measured"
    """The model ran, but not far enough for the figure that decides."""
    TIMEOUT = "timeout"
    UNKNOWN = "unknown"
    HASH_MISMATCH = "hash-mismatch"
    BROWSER_START = "browser-start"
    AGENT_ERROR = "agent-error"
    WORKER_LOST = "worker-lost"
    LEASE_EXPIRED = "lease-expired"
    DEVICE_UNREACHABLE = "device-unreachable"
    """The lab lost the device: unplugged, offline, unauthorized, restarted, or it no longer answers."""
    DEVICE_NOT_READY = "device-not-ready"
    """Too hot, too low on charge or in another state in which nothing should be measured."""
    AGENT_STOPPED = "agent-stopped"
    """The agent was told to stop in the middle of it: says nothing against the device."""
    STORAGE_FULL = "storage-full"
    """The disk of the host or of the device is full."""


class Verdict(StrEnum):
    """Of one run."""

    FITS = "fits"
    TOO_SLOW = "too-slow"
    WRONG_OUTPUT = "wrong-output"
    FAILS = "fails"


class CellVerdict(StrEnum):
    """Of a cell: a run's verdict once the runs settle it."""

    FITS = "fits"
    TOO_SLOW = "too-slow"
    WRONG_OUTPUT = "wrong-output"
    FAILS = "fails"
    UNSETTLED = "unsettled"


class SlotVerdict(StrEnum):
    """Of several cells taken together."""

    FITS = "fits"
    TOO_SLOW = "too-slow"
    WRONG_OUTPUT = "wrong-output"
    FAILS = "fails"
    MIXED = "mixed"
    """They have settled to different verdicts: there is none that holds for all of them."""
    UNSETTLED = "unsettled"


class RunState(StrEnum):
    QUEUED = "queued"
    LEASED = "leased"
    RUNNING = "running"
    FINISHED = "finished"
    INCONCLUSIVE = "inconclusive"
    """The infrastructure failed more often than the attempt limit allows: never a cell entry."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """It waited longer than its job allows."""


class JobState(StrEnum):
    ACTIVE = "active"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class AttemptState(StrEnum):
    LEASED = "leased"
    RUNNING = "running"
    REPORTED = "reported"
    """Its report is the run's result."""
    FAULTED = "faulted"
    """Infrastructure failed; its report is kept as evidence."""
    LOST = "lost"
    """Its lease ran out."""
    WITHDRAWN = "withdrawn"
    """Its run was cancelled; a report that still comes is evidence."""


class DeviceKind(StrEnum):
    PHYSICAL = "physical"
    EMULATED = "emulated"


class Condition(StrEnum):
    """Of a device, in its agent's words."""

    READY = "ready"
    RESTING = "resting"
    """Hot, low on charge or short of storage: it becomes ready by itself."""
    OFFLINE = "offline"
    """Not there, or it does not answer."""
    QUARANTINED = "quarantined"
    """Something could not be put back in order: nothing should be measured until it is."""


class DeviceState(StrEnum):
    """Of a device, as the coordinator sees it."""

    IDLE = "idle"
    BUSY = "busy"
    RESTING = "resting"
    OFFLINE = "offline"
    QUARANTINED = "quarantined"
    RESERVED = "reserved"
    """Somebody has it for themselves until a moment that they named."""
    DRAINED = "drained"
    """Somebody has taken it out of service: it ends what it does and gets nothing more."""
    MAINTENANCE = "maintenance"
    """The lab's plan leaves it alone at this time."""


class ThermalStatus(StrEnum):
    """How hard a device throttles itself for heat, in the words of Android's thermal API, mildest first."""

    NONE = "none"
    LIGHT = "light"
    MODERATE = "moderate"
    SEVERE = "severe"
    CRITICAL = "critical"
    EMERGENCY = "emergency"
    SHUTDOWN = "shutdown"


class Mark(StrEnum):
    """What sets a run apart from others: it stays a result, but its figures are not averaged with theirs."""

    THROTTLED = "throttled"
    """The device slowed itself down for heat in the middle of it."""


class Purpose(StrEnum):
    """Why a run was made."""

    MEASURE = "measure"
    HEALTH = "health"
    """To see whether the device works: never a cell entry."""


class EventKind(StrEnum):
    """Of a page event. A `phase` event is posted before the phase begins: when a tab dies, the last one says where."""

    PHASE = "phase"
    ERROR = "error"
    NOTE = "note"


class ErrorSource(StrEnum):
    """By which of its many ears the page heard of an error."""

    EXCEPTION = "exception"
    UNHANDLED_REJECTION = "unhandled-rejection"
    WINDOW_ERROR = "window-error"
    WORKER_ERROR = "worker-error"
    GPU_ERROR = "gpu-error"
    DEVICE_LOST = "device-lost"
    CONSOLE = "console"
    WATCHDOG = "watchdog"


class Role(StrEnum):
    """What the holder of a token may do; admin may do everything, submitter all that a reader may."""

    READER = "reader"
    SUBMITTER = "submitter"
    AGENT = "agent"
    """A lab host's own part of the API, and nothing that people do."""
    ADMIN = "admin"


class Topic(StrEnum):
    """What an event of the coordinator is about."""

    JOB = "job"
    RUN = "run"
    DEVICE = "device"
    CELL = "cell"
    REGRESSION = "regression"
    """A cell that fitted, or whose like in an earlier version of the browser fits, does not fit."""


class Notice(StrEnum):
    """What a webhook can be told of."""

    JOB_FINISHED = "job.finished"
    JOB_CANCELLED = "job.cancelled"
    DEVICE_QUARANTINED = "device.quarantined"
    DEVICE_RETURNED = "device.returned"
    CELL_REGRESSED = "cell.regressed"
    """What fitted, here or in an earlier version of the same browser, is settled not to fit any more."""
    CELL_CHANGED = "cell.changed"
    """A settled cell has another verdict than before, or is no longer settled."""


class WaitCode(StrEnum):
    """Why a run has not begun."""

    NO_BROWSER = "no-browser"
    OFFLINE = "offline"
    RESTING = "resting"
    QUARANTINED = "quarantined"
    RESERVED = "reserved"
    DRAINED = "drained"
    MAINTENANCE = "maintenance"
    BUSY = "busy"
    """Its device, or one that shares hardware with it, runs something else."""
    POOL_FULL = "pool-full"
    BEHIND_OTHERS = "behind-others"
    """Other runs for the device come first."""
    NO_DISPATCHER = "no-dispatcher"
    ABOUT_TO_BEGIN = "about-to-begin"
    """It is leased to its device, whose worker has not started it yet, or is the next to be leased."""


class Varied(StrEnum):
    """What the two arms of a comparison differ in."""

    BROWSER_VERSION = "browser_version"
    BROWSER_CHANNEL = "browser_channel"
    RUNTIME_VERSION = "runtime_version"
    RUNTIME = "runtime"
    QUANTIZATION = "quantization"
    VARIANT = "variant"
    BACKEND = "backend"
    DEVICE = "device"
    LABEL = "label"
    """Of the jobs: runs with one label against runs with another."""
    TIME = "time"
    """Runs before a moment against runs since then."""


class Change(StrEnum):
    """From the first arm to the second."""

    FLIPPED_DOWN = "flipped-down"
    """It fitted and does not fit any more, both beyond doubt."""
    FLIPPED_UP = "flipped-up"
    WORSE = "worse"
    """Significantly: fewer runs fit, or a speed or a wait is worse by 5 % or more."""
    BETTER = "better"
    NONE = "none"
    """None that these runs show."""
