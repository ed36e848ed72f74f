"""What a fault means, and what to do about it."""

from typing import Final

from orchestrator.contract.vocabulary import FaultCode

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

FAULT_ADVICE: Final[dict[FaultCode, str]] = {
    FaultCode.NO_WEBGPU: (
        "Measure the variant's WASM backend, if it has one; on a device that should have a GPU, look at "
        "chrome://gpu and at the flags in the device's record."
    ),
    FaultCode.UNSUPPORTED_FEATURE: (
        "Offer a variant without float16 (q4, q8); the adapter's features are in the report."
    ),
    FaultCode.LIMIT_EXCEEDED: "Take a variant with smaller tensors; the adapter's limits are in the report.",
    FaultCode.OUT_OF_MEMORY: "Take a smaller variant; memory.json shows how far this one came.",
    FaultCode.DEVICE_LOST: "Look at the memory figures and at the system's log, and repeat the run.",
    FaultCode.CRASH: (
        "See the phase for where, and compare the peak in memory.json with the device's memory: without a cgroup a"
        " kill for memory looks like any other."
    ),
    FaultCode.STORAGE_QUOTA: (
        "Free storage on the device; with a quota below its size the model can be used but not kept."
    ),
    FaultCode.DOWNLOAD: "If it comes again, look at the agent's log, its disk and its model cache.",
    FaultCode.BAD_MODEL: "Build the variant anew, and check its definition.",
    FaultCode.WRONG_OUTPUT: (
        "See in the report which check failed and by how much, and repeat it on another backend: a kernel may be wrong."
    ),
    FaultCode.NOT_MEASURED: (
        "See in the report's samples how far it came, and ask for a longer workload if that was too short to measure."
    ),
    FaultCode.TIMEOUT: (
        "See the phase and the last event for where; raise timeouts in the job if the device is merely slow."
    ),
    FaultCode.UNKNOWN: "Look at the evidence; a row for it in agents/fault_table.py gives it a name from then on.",
    FaultCode.HASH_MISMATCH: "If it comes again, check the coordinator's blobs.",
    FaultCode.BROWSER_START: "If it comes again, start the browser by hand with the flags of the report.",
    FaultCode.AGENT_ERROR: (
        "Where the detail names a field, correct the variant's definition or use the page build that the agent's "
        "version expects; otherwise look at the agent's log."
    ),
    FaultCode.WORKER_LOST: "If it comes again, look at the agent's log.",
    FaultCode.LEASE_EXPIRED: "If it comes again, see whether the agent runs and reaches the coordinator.",
    FaultCode.DEVICE_UNREACHABLE: (
        "Look at the cable, the hub's power and the phone's screen; fitmatrix-agent doctor says what adb sees."
    ),
    FaultCode.DEVICE_NOT_READY: (
        "What the detail says, or nothing: the device rests until it is well, and the attempt is made again."
    ),
    FaultCode.AGENT_STOPPED: "Nothing: it is no word against the device or the model.",
    FaultCode.STORAGE_FULL: "Make room there; on a lab host, lower --cache-gib.",
}
"""A sentence each, which docs/faults.md says too, among more."""
