"""What became of a run, in sentences."""

from orchestrator.contract.views import RunView
from orchestrator.contract.vocabulary import JobState, RunState


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
