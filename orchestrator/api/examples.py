"""Examples for the OpenAPI document; a test validates each against its model."""

from typing import Any, Final

JOB: Final[dict[str, Any]] = {
    "name": "small models, both backends",
    "variants": ["all-minilm-l6-v2.int8", "smollm2-135m-instruct.q8"],
    "backends": ["webgpu", "wasm"],
    "devices": "!emulated && ram_gib >= 4.0",
    "workload": {"text-generation": {"prompt_tokens": 512, "generated_tokens": 128, "repetitions": 5}},
    "criteria": {"min_decode_tokens_per_second": 5, "max_ttft_seconds": 10},
    "repeats": "auto",
}
JOB_EXAMPLES: Final[dict[str, Any]] = {
    "two models": {"summary": "Two models on every physical device with 4 GiB or more", "value": JOB},
    "one model": {
        "summary": "One model, everything else by default",
        "value": {"name": "smoke", "variants": ["all-minilm-l6-v2.int8"]},
    },
}
PROBLEM: Final[dict[str, Any]] = {
    "type": "about:blank",
    "title": "Unprocessable Entity",
    "status": 422,
    "detail": "The job cannot run as it stands; nothing was created.",
    "errors": [
        {
            "field": "variants[0]",
            "value": "gemma-9b",
            "allowed": "a variant of the catalog: all-minilm-l6-v2.int8, smollm2-135m-instruct.q8",
        }
    ],
}
CELL: Final[dict[str, Any]] = {
    "variant": "smollm2-135m-instruct.q8",
    "model": "SmolLM2-135M-Instruct",
    "size_class": "S",
    "parameters": 134515008,
    "weights": "trained",
    "runtime": "transformers.js",
    "runtime_version": "4.3.1",
    "quantization": "q8",
    "backend": "wasm",
    "workload": "pp512/tg128",
    "criteria": {"min_decode_tokens_per_second": 5, "max_ttft_seconds": 10, "max_latency_seconds": 1},
    "device": "lab-1.this-machine",
    "device_name": "this machine",
    "device_model": "ThinkPad T14",
    "device_class": "desktop 8 cores 16 GiB",
    "emulated": False,
    "chrome_flags": [],
    "gpu_adapter": None,
    "fallback_adapter": None,
    "browser": "chrome 156",
    "verdict": "fits",
    "fault": None,
    "phase": None,
    "runs": 5,
    "successes": 5,
    "probability": 0.9167,
    "interval": [0.6206, 1.0],
    "download_bytes": {"median": 195000000, "p25": 195000000, "p75": 195000000, "n": 5},
    "model_bytes": 167000000,
    "peak_memory_bytes": {"median": 910000000, "p25": 905000000, "p75": 921000000, "n": 5},
    "webgpu_bytes": None,
    "load_seconds": {"median": 4.9, "p25": 4.8, "p75": 5.1, "n": 5},
    "ttft_seconds": {"median": 2.1, "p25": 2.0, "p75": 2.2, "n": 5},
    "prefill_tokens_per_second": {"median": 244, "p25": 233, "p75": 256, "n": 5},
    "decode_tokens_per_second": {"median": 11.3, "p25": 11.0, "p75": 11.6, "n": 5},
    "latency_seconds": None,
    "inferences_per_second": None,
    "last_run": "r-7k2m9q4x0v1d",
    "updated_at": "2026-11-21T12:00:00Z",
}
MATRIX: Final[dict[str, Any]] = {"generated_at": "2026-11-21T12:00:00Z", "cells": [CELL]}
