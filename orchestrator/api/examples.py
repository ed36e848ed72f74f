"""Examples for the OpenAPI document: data, one for each message; a test validates each against its model."""

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
    "sustained": {
        "summary": "One model until it throttles, on devices that a probe found a real GPU in",
        "value": {
            "name": "does it keep its speed",
            "variants": ["smollm2-135m-instruct.q8"],
            "devices": "webgpu && !gpu.software && gpu.limits.maxBufferSize >= 1073741824",
            "workload": {"text-generation": {"protocol": "sustained"}},
        },
    },
    "query": {
        "summary": "Every 4-bit text generator below 500 MB, unless such a device gave the answer in the last week",
        "value": {
            "name": "small generators",
            "variants": 'task == "text-generation" && bits == 4.0 && size_mb < 500.0',
            "reuse": {"days": 7},
            "timeouts": {"queue": 86400, "phases": {"init": 120}},
        },
    },
    "probe": {
        "summary": "What the browsers of all devices can do, without a model",
        "value": {"name": "probe", "variants": ["probe"]},
    },
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
    "key": "4bd7f0c2a1e95c60d3f8b94e27aa51c6380d7f12e94b5ac8d06137fe25b9c4a0",
    "variant": "smollm2-135m-instruct.q8",
    "model": "SmolLM2-135M-Instruct",
    "family": "Llama",
    "size_class": "S",
    "parameters": 134515008,
    "weights": "trained",
    "runtime": "transformers.js",
    "runtime_version": "4.3.1",
    "quantization": "q8",
    "techniques": [{"kind": "quantization", "bits": 8, "scheme": "dynamic, per tensor"}],
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
    "throttled_runs": 0,
    "successes": 5,
    "probability": 0.9167,
    "interval": [0.6206, 1.0],
    "download_bytes": {"median": 195000000, "p25": 195000000, "p75": 195000000, "n": 5},
    "model_bytes": 167000000,
    "published_bytes": None,
    "peak_memory_bytes": {"median": 910000000, "p25": 905000000, "p75": 921000000, "n": 5},
    "webgpu_bytes": None,
    "load_seconds": {"median": 4.9, "p25": 4.8, "p75": 5.1, "n": 5},
    "ttft_seconds": {"median": 2.1, "p25": 2.0, "p75": 2.2, "n": 5},
    "prefill_tokens_per_second": {"median": 244, "p25": 233, "p75": 256, "n": 5},
    "decode_tokens_per_second": {"median": 11.3, "p25": 11.0, "p75": 11.6, "n": 5},
    "latency_seconds": None,
    "inferences_per_second": None,
    "first_inference_seconds": {"median": 2.6, "p25": 2.5, "p75": 2.6, "n": 5},
    "warm_load_seconds": None,
    "throttling_ratio": None,
    "wasm_bytes": {"median": 420000000, "p25": 420000000, "p75": 420000000, "n": 5},
    "js_heap_bytes": {"median": 31000000, "p25": 30500000, "p75": 32000000, "n": 5},
    "agreement": {"median": 1.0, "p25": 1.0, "p75": 1.0, "n": 5},
    "last_run": "r-7k2m9q4x0v1d",
    "updated_at": "2026-11-21T12:00:00Z",
}
MATRIX: Final[dict[str, Any]] = {"generated_at": "2026-11-21T12:00:00Z", "cells": [CELL], "next": None}
MATRIX_VIEW: Final[dict[str, Any]] = {
    "version": "1042-64a1b2c3d4e5f",
    "generated_at": "2026-11-21T12:00:00Z",
    "rows_by": ["model", "backend"],
    "columns_by": ["device_class"],
    "rows": [{"values": {"model": CELL["model"], "backend": "wasm"}, "note": "135 M"}],
    "columns": [
        {"values": {"device_class": CELL["device_class"]}},
        {"values": {"device_class": "emulated 512 MiB"}, "emulated": True},
    ],
    "slots": [
        {
            "row": 0,
            "column": 0,
            "cells": 2,
            "cell": None,
            "devices": 2,
            "device_models": 2,
            "differ_in": ["device_model"],
            "verdict": "fits",
            "devices_by_verdict": {"fits": 2},
            "cells_by_verdict": {"fits": 2},
            "fault": None,
            "phase": None,
            "runs": 10,
            "throttled_runs": 0,
            "successes": 10,
            "probability": 0.9545,
            "interval": [0.783, 1.0],
            "figures": {
                "decode_tokens_per_second": {"median": 11.2, "p25": 10.4, "p75": 11.9, "n": 10},
                "ttft_seconds": {"median": 2.1, "p25": 2.0, "p75": 2.3, "n": 10},
            },
            "last_run": CELL["last_run"],
            "updated_at": CELL["updated_at"],
        },
        {
            "row": 0,
            "column": 1,
            "cells": 1,
            "cell": "c0a4b9e5f27e13060d8ca5b49ef21d7f083a6c15aa72e49b8f3d06c59e1a2c0f",
            "devices": 1,
            "device_models": 1,
            "verdict": "fails",
            "fault": "out-of-memory",
            "phase": "init",
            "runs": 2,
            "throttled_runs": 0,
            "successes": 0,
            "probability": 0.1667,
            "interval": [0.0, 0.6664],
            "figures": {},
            "last_run": "r-2p9c4t7w1x5b",
            "updated_at": CELL["updated_at"],
        },
    ],
}

JOB_VIEW: Final[dict[str, Any]] = {
    "id": "j-4f7k2m9q0x1v",
    "state": "active",
    "submitter": "nightly",
    "spec": JOB,
    "created_at": "2026-11-21T12:00:00Z",
    "finished_at": None,
    "runs": {"queued": 6, "leased": 0, "running": 1, "finished": 3, "inconclusive": 0},
    "cells": 3,
    "settled_cells": 1,
    "left_out": ["smollm2-135m-instruct.q8 on webgpu: this build has wasm only"],
}
JOB_PREVIEW: Final[dict[str, Any]] = {
    "runs": 2,
    "cells": 3,
    "reused": 1,
    "devices": [{"device_id": "lab-1.this-machine", "runs": 2, "device_seconds": 95.5}],
    "left_out": JOB_VIEW["left_out"],
}
RUN_VIEW: Final[dict[str, Any]] = {
    "id": "r-7k2m9q4x0v1d",
    "job_id": "j-4f7k2m9q0x1v",
    "job_name": "small models, both backends",
    "variant": "smollm2-135m-instruct.q8",
    "backend": "wasm",
    "device_id": "lab-1.low-end",
    "device_name": "low-end",
    "emulated": True,
    "browser": "chrome",
    "purpose": "measure",
    "workload": {
        "task": "text-generation",
        "protocol": "standard",
        "prompt_tokens": 512,
        "generated_tokens": 128,
        "context_tokens": 0,
        "warmups": 1,
        "repetitions": 5,
    },
    "criteria": CELL["criteria"],
    "state": "finished",
    "verdict": "fails",
    "fault": {
        "origin": "device",
        "code": "out-of-memory",
        "phase": "init",
        "transient": False,
        "detail": "The kernel killed 1 process of the browser for memory (tab-crashed: killed (code 9))",
        "evidence": ["cgroup oom_kill 0 → 1"],
    },
    "phase": "init",
    "marks": [],
    "figures": {"download_bytes": 197674636, "peak_memory_bytes": 425367552},
    "validation": None,
    "variant_bytes": 170100000,
    "attempts": 1,
    "created_at": "2026-11-21T12:00:00Z",
    "finished_at": "2026-11-21T12:00:09Z",
}
CELL_DETAIL: Final[dict[str, Any]] = {"cell": CELL, "runs": [RUN_VIEW], "next": None}
RUN_DETAIL: Final[dict[str, Any]] = RUN_VIEW | {
    "attempt_list": [
        {
            "number": 1,
            "device_id": "lab-1.low-end",
            "state": "reported",
            "leased_at": "2026-11-21T12:00:05Z",
            "lease_expires_at": None,
            "started_at": "2026-11-21T12:00:05Z",
            "finished_at": "2026-11-21T12:00:09Z",
            "fault": RUN_VIEW["fault"],
            "report": None,
            "late_reports": 0,
        }
    ]
}
DEVICE_VIEW: Final[dict[str, Any]] = {
    "registration": {
        "id": "lab-1.low-end",
        "name": "low-end",
        "kind": "emulated",
        "model": "emulated 512 MiB on ThinkPad T14",
        "device_class": "emulated 512 MiB",
        "exclusive_group": "lab-1",
        "facts": {
            "os": "linux",
            "os_version": "Debian GNU/Linux 12",
            "os_api_level": None,
            "arch": "x86_64",
            "cpu_model": "AMD Ryzen 7 PRO",
            "cpu_count": 8,
            "ram_bytes": 536870912,
            "gpus": [{"name": "AMD Radeon 680M", "driver": "Mesa 22.3.6", "memory_bytes": None}],
            "browsers": [{"name": "chrome", "version": "156.0.8078.79", "channel": "stable"}],
            "chrome_flags": [],
            "emulation": {"memory_bytes": 536870912, "cpu_quota": 0.5, "webgpu": False},
        },
        "page_origin": "http://localhost:36841",
    },
    "probes": {
        "chrome": {
            "measured_at": "2026-11-21T11:58:00Z",
            "run_id": "r-1x8p5c0t6w2b",
            "browser": {"name": "chrome", "version": "156.0.8078.79", "channel": "stable"},
            "device_memory_gib": 8,
            "hardware_concurrency": 8,
            "cross_origin_isolated": True,
            "adapter": None,
            "result": {
                "duration_ms": 1240,
                "wasm": {
                    "simd": True,
                    "threads": True,
                    "relaxed_simd": True,
                    "memory64": True,
                    "exceptions": True,
                    "jspi": True,
                },
                "storage_quota_bytes": 10737418240,
                "storage_usage_bytes": 0,
                "download_bytes_per_second": 310000000,
                "matrix_products": [{"backend": "wasm", "size": 256, "samples_ms": [9.1, 9.0, 9.2], "gflops": 3.7}],
                "gpu_allocated_bytes": None,
                "gpu_allocation_note": "no WebGPU",
            },
        }
    },
    "agent_id": "lab-1",
    "state": "quarantined",
    "reason": "3 attempts in a row failed for reasons of the lab, the last with browser-start in launch: Chrome ended.",
    "health": {
        "checked_at": "2026-11-21T12:00:00Z",
        "battery_level": 0.83,
        "battery_temperature_celsius": 31.5,
        "charging": True,
        "thermal_status": None,
        "free_storage_bytes": 12884901888,
        "network": True,
        "screen_on": None,
        "latency_ms": 1.2,
        "clock_offset_seconds": 0,
    },
    "quarantine": {
        "since": "2026-11-21T11:59:00Z",
        "reason": "3 attempts in a row failed for reasons of the lab, the last with browser-start in launch: "
        "Chrome ended.",
        "next_health_run_at": "2026-11-21T12:01:00Z",
    },
    "infrastructure_faults": 3,
    "last_seen_at": "2026-11-21T12:00:00Z",
    "attempt": None,
    "queued_runs": 0,
}
DEVICE_CLASS: Final[dict[str, Any]] = {
    "name": "low-end phone",
    "description": "Up to 4 GB of memory.",
    "selector": '!emulated && os == "android" && ram_gib < 4.1',
    "devices": ["lab-1.moto-e13"],
}
EXPLANATION: Final[dict[str, Any]] = {
    "run_id": "r-7k2m9q4x0v1d",
    "state": "queued",
    "reasons": [
        {
            "code": "reserved",
            "detail": "lab-1.moto-e13: ann has it until 2026-11-21 14:00 UTC (looking at a crash). It goes on then, or "
            "when the device is released.",
        },
        {"code": "behind-others", "detail": "2 runs for its device come first: 2 of higher priority."},
    ],
    "runs_ahead": 2,
}
VARIANT_VIEW: Final[dict[str, Any]] = {
    "variant": {
        "id": "gemma-tiny.int8",
        "model": "Gemma tiny",
        "parameters": 345472,
        "size_class": "XS",
        "task": "text-generation",
        "runtime": "mediapipe-llm",
        "runtime_version": "0.10.29",
        "format": "bin",
        "quantization": "int8 per channel",
        "weights": "synthetic",
        "backends": ["webgpu"],
        "licence": "Apache-2.0",
        "source": "random values from a seed",
        "files": [{"path": "gemma_tiny.bin", "sha256": "0" * 64, "bytes": 1412800}],
        "validation": {"check": "text", "prompt": "hello quick world", "max_tokens": 24},
    },
    "built": True,
    "total_bytes": 1412800,
}

EVENT: Final[dict[str, Any]] = {
    "id": 4711,
    "topic": "run",
    "subject": "r-7k2m9q4x0v1d",
    "job": "j-4f7k2m9q0x1v",
    "device": "lab-1.low-end",
    "state": "finished",
    "at": "2026-11-21T12:00:09.123456Z",
}
WEBHOOK_REQUEST: Final[dict[str, Any]] = {
    "name": "ci",
    "url": "https://ci.example.org/hooks/fitmatrix",
    "notices": ["job.finished", "job.cancelled"],
}
WEBHOOK: Final[dict[str, Any]] = WEBHOOK_REQUEST | {"created_at": "2026-11-21T11:00:00Z", "created_by": "admin"}
CREATED_WEBHOOK: Final[dict[str, Any]] = WEBHOOK | {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
DELIVERY: Final[dict[str, Any]] = {
    "id": "msg-5b8d0f2h4k6m",
    "webhook": "ci",
    "type": "job.finished",
    "state": "delivered",
    "tries": 2,
    "created_at": "2026-11-21T12:00:09Z",
    "due_at": None,
    "answer": "204",
}


def answered(example: Any, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entry of a successful answer."""
    return {status: {"content": {"application/json": {"example": example}}}}


def listed(example: Any) -> dict[int | str, dict[str, Any]]:
    return answered({"items": [example]})


_ARM: Final[dict[str, Any]] = {
    "cells": ["5f0c" * 16],
    "verdict": "fits",
    "fault": None,
    "runs": 5,
    "successes": 5,
    "completed": 5,
    "probability": 0.917,
    "interval": [0.621, 1.0],
    "last_run": "r-7k2m9q4x0v1d",
    "updated_at": "2026-11-21T12:00:09Z",
}
COMPARISON: Final[dict[str, Any]] = {
    "vary": "browser_version",
    "a": "156",
    "b": "157",
    "pairs": 1,
    "only_a": 0,
    "only_b": 3,
    "counts": {"flipped-down": 1, "flipped-up": 0, "worse": 0, "better": 0, "none": 0},
    "looked_at": 1,
    "names": {"device": {"desk-a1b2c3": "this machine"}},
    "comparisons": [
        {
            "place": {"variant": "smollm2-135m-instruct.q8", "backend": "wasm", "device": "desk-a1b2c3"},
            "a": _ARM,
            "b": _ARM
            | {
                "verdict": "too-slow",
                "runs": 2,
                "successes": 0,
                "completed": 2,
                "probability": 0.167,
                "interval": [0.0, 0.667],
            },
            "change": "flipped-down",
            "p_value": 0.0476,
            "figures": {
                "decode_tokens_per_second": {
                    "a": {"median": 20.1, "p25": 19.8, "p75": 20.4, "n": 5},
                    "b": {"median": 4.2, "p25": 4.1, "p75": 4.3, "n": 2},
                    "ratio": 0.209,
                    "interval": None,
                    "significant": False,
                    "better": False,
                }
            },
        }
    ],
}

AUDIENCE_UPLOAD: Final[dict[str, Any]] = {"csv": "class,share\nlow-end phone,40\nflagship phone,25.5\n"}
_SEGMENTS: Final[list[dict[str, Any]]] = [
    {"name": "low-end phone", "selector": '"low-end phone" in classes', "share": 0.4},
    {"name": "flagship phone", "selector": '"flagship phone" in classes', "share": 0.255},
]
AUDIENCE: Final[dict[str, Any]] = {
    "name": "our-site",
    "created_at": "2026-11-21T11:00:00Z",
    "created_by": "ada",
    "segments": _SEGMENTS,
    "named_share": 0.655,
}
COVERAGE: Final[dict[str, Any]] = {
    "audience": AUDIENCE,
    "variants": [
        {
            "variant": "smollm2-135m-instruct.q8",
            "model": "smollm2-135m-instruct",
            "parameters": 134515008,
            "weights": "trained",
            "model_bytes": 137000000,
            "workload": "pp512/tg128",
            "reach": 0.234,
            "interval": [0.188, 0.255],
            "unknown": 0.745,
            "on_frontier": True,
            "segments": [
                {
                    "segment": "low-end phone",
                    "share": 0.4,
                    "devices": 0,
                    "emulated": False,
                    "backend": None,
                    "verdict": None,
                    "runs": 0,
                    "probability": None,
                    "interval": None,
                },
                {
                    "segment": "flagship phone",
                    "share": 0.255,
                    "devices": 1,
                    "emulated": False,
                    "backend": "webgpu",
                    "verdict": "fits",
                    "runs": 5,
                    "probability": 0.917,
                    "interval": [0.621, 1.0],
                },
            ],
        }
    ],
    "choices": [
        {"segment": "low-end phone", "share": 0.4, "variant": None, "backend": None},
        {"segment": "flagship phone", "share": 0.255, "variant": "smollm2-135m-instruct.q8", "backend": "webgpu"},
    ],
}

FITS_KEY: Final[dict[str, Any]] = {
    "algorithm": "Ed25519",
    "key_id": "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9",
    "public_key": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
}

IMPORT_UPLOAD: Final[dict[str, Any]] = {
    "document": {
        "format": "fitmatrix.import/1",
        "rows": [
            {
                "variant": "Llama-3.2-1B-Instruct-q4f16_1-MLC",
                "model": "Llama-3.2-1B-Instruct",
                "parameters": 1235814400,
                "quantization": "q4f16_1",
                "runtime": "webllm",
                "runtime_version": "0.2.84",
                "backend": "webgpu",
                "workload": "short",
                "device": {
                    "id": "phone-1",
                    "name": "a phone",
                    "model": "Some Phone 7",
                    "device_class": "mid-range phone",
                },
                "browser": "chrome 126.0.1",
                "verdicts": {"fits": 4, "fails": 1},
                "faults": [{"code": "out-of-memory", "phase": "init", "runs": 1}],
                "samples": {"decode_tokens_per_second": [11.2, 11.9, 12.0, 11.4]},
                "measured_at": "2026-06-12T10:00:00Z",
            }
        ],
    }
}
IMPORT: Final[dict[str, Any]] = {
    "name": "field-2026",
    "format": "fitmatrix.import/1",
    "created_at": "2026-11-21T11:00:00Z",
    "created_by": "admin",
    "cells": 1,
    "runs": 5,
    "left_out": 0,
}
FITS_DOCUMENT: Final[dict[str, Any]] = {
    "format": "fitmatrix.fits/1",
    "generated_at": "2026-11-21T12:00:09Z",
    "generator": "fitmatrix 0.1.0",
    "source": "https://lab.example",
    "cells": [],
    "signature": {
        "algorithm": "Ed25519",
        "canonicalization": "RFC 8785",
        "key_id": FITS_KEY["key_id"],
        "public_key": FITS_KEY["public_key"],
        "value": "5VZDAMNgrHKQhuLMgG6CioSHfx64u+ySQ4f7Zq2eCKw=",
    },
}
