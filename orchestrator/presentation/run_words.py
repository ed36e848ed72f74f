"""What became of a run, in sentences; and what a fault means."""

from typing import Final

from orchestrator.contract.views import RunView
from orchestrator.contract.vocabulary import FaultCode, JobState, RunState

FAULT_MEANINGS: Final[dict[FaultCode, str]] = {
    FaultCode.NO_WEBGPU: "The browser has no WebGPU, or WebGPU has no adapter.",
    FaultCode.UNSUPPORTED_FEATURE: "The adapter lacks a feature that the model needs, or the runtime an operation.",
    FaultCode.LIMIT_EXCEEDED: "The model wants more of something than the adapter's limits allow.",
    FaultCode.OUT_OF_MEMORY: "There was not enough memory: of the system, the tab, the GPU or WebAssembly.",
    FaultCode.DEVICE_LOST: "The GPU device was lost while the model used it.",
    FaultCode.CRASH: "The tab or the browser died, and nothing says that memory was the reason.",
    FaultCode.STORAGE_QUOTA: "The browser gives the page less storage than the model needs.",
    FaultCode.DOWNLOAD: "The model's files did not come.",
    FaultCode.BAD_MODEL: "The runtime cannot read the model.",
    FaultCode.WRONG_OUTPUT: "The model ran, but its output is not what these weights should say.",
    FaultCode.NOT_MEASURED: "The model ran, but not far enough for the figure that decides.",
    FaultCode.TIMEOUT: "It took longer than the job allows.",
    FaultCode.UNKNOWN: "Nothing that is known explains it: the evidence is the place to start.",
    FaultCode.HASH_MISMATCH: "A file is not the one that the catalog names.",
    FaultCode.BROWSER_START: "The browser did not start, or did not do what it was told.",
    FaultCode.AGENT_ERROR: "The agent itself failed.",
    FaultCode.WORKER_LOST: "The agent's worker process died in the middle of it.",
    FaultCode.LEASE_EXPIRED: "The agent was not heard of until its right to the device ran out.",
    FaultCode.DEVICE_UNREACHABLE: "The lab lost the device: unplugged, restarted, or it no longer answers.",
    FaultCode.DEVICE_NOT_READY: "The device was in a state in which nothing should be measured, such as too hot.",
    FaultCode.AGENT_STOPPED: "The agent was told to stop in the middle of it.",
    FaultCode.STORAGE_FULL: "The disk of the host or of the device is full.",
}


def fault_page(code: FaultCode) -> str:
    """Where the documentation says more."""
    return f"docs/faults.md#{code.value}"


def state_words(run: RunView, cancelled_by: str | None) -> str:
    """What is to be said of a run without a verdict; empty where the verdict says it."""
    match run.state:
        case RunState.QUEUED:
            return "It waits for its device."
        case RunState.LEASED:
            return "Its device is leased to it; it begins when the device's worker has the message."
        case RunState.RUNNING:
            return "It is being measured now."
        case RunState.INCONCLUSIVE:
            return "The lab failed at it more often than is tried: it says nothing about the model and is in no cell."
        case RunState.CANCELLED:
            return f"Cancelled by {cancelled_by}." if cancelled_by else "Cancelled."
        case RunState.EXPIRED:
            return "It had not begun when its time was over, and was given up."
        case RunState.FINISHED:
            return ""


def job_words(state: JobState, cancelled_by: str | None) -> str:
    if state is JobState.CANCELLED and cancelled_by:
        return f"cancelled by {cancelled_by}"
    return state.value
