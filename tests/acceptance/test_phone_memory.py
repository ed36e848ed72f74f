"""A model that is too big for a phone: Android's low-memory killer ends it, and that is what the result says."""

from collections.abc import Iterator

import pytest

from orchestrator.contract.vocabulary import Backend, FaultCode, FaultOrigin, Phase
from tests.phone_bench import PHONE, PhoneBench, phone_bench
from tests.workbench import built

MEMORY_MIB = 768
"""Of which an idle browser takes a third. With 1024 MiB the big model is killed on some days and fits on others."""
FITS = "llama-tiny.q8"
TOO_BIG = "smollm2-135m-instruct.q8"


@pytest.fixture(scope="module")
def phone() -> Iterator[PhoneBench]:
    with phone_bench(profile="low-end", memory_mib=MEMORY_MIB) as bench:
        yield bench


@pytest.mark.parametrize("browser", ["chrome", "webview"])
def test_a_model_that_is_too_big_is_out_of_memory(phone: PhoneBench, browser: str) -> None:
    outcome = phone.bench.attempt(built(TOO_BIG), Backend.WASM, PHONE, browser=browser)
    fault = outcome.report.fault
    assert fault is not None
    assert (fault.code, fault.origin, fault.transient) == (FaultCode.OUT_OF_MEMORY, FaultOrigin.DEVICE, False), fault
    assert fault.phase in (Phase.DOWNLOAD, Phase.INIT, Phase.WARMUP)
    package = "com.android.chrome" if browser == "chrome" else "com.google.android.webview"
    assert f"Android killed the browser for memory: Kill '{package}:sandboxed_process" in fault.detail
    assert "lowmemorykiller" in outcome.artifacts["logcat.txt"].read_text()
    assert outcome.problems == []
    assert phone.leftovers() == []
    # The phone is none the worse for it, and a smaller model still fits.
    assert phone.bench.run(built(FITS), Backend.WASM, PHONE, browser=browser).completed
