"""`python -m tests.demo_pictures`: photographs the pages of `make demo`'s data for the README, into docs/images."""

import argparse
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from orchestrator.client import Client
from orchestrator.contract.vocabulary import Verdict
from tests.integration.coordinator.lab import RunningCoordinator
from tests.web_browser import web_browser
from tests.workbench import ROOT

IMAGES: Final = ROOT / "docs" / "images"
_SIZE: Final = (1180, 1000)
_SHOWN: Final = "smollm2-135m-instruct.q8"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / ".fitmatrix" / "demo", help="what `make demo` has left")
    data = parser.parse_args().data
    with ExitStack() as stack:
        coordinator = RunningCoordinator(data)
        stack.callback(coordinator.stop)
        coordinator.start()
        client = stack.enter_context(Client(coordinator.url))
        browser = stack.enter_context(web_browser(Path(stack.enter_context(TemporaryDirectory(prefix="fm-pictures-")))))
        job = client.jobs()[0]
        run = next(run for run in client.each_run(job=job.id, verdict=Verdict.FITS) if run.variant == _SHOWN)
        pages = {
            "demo-matrix": "/",
            "demo-job": f"/jobs/{job.id}",
            "demo-run": f"/runs/{run.id}",
            "demo-device": f"/devices/{run.device_id}",
        }
        for name, path in pages.items():
            browser.open(coordinator.url + path, _SIZE)
            browser.wait_for("document.readyState === 'complete' && document.fonts.status === 'loaded'")
            (IMAGES / f"{name}.png").write_bytes(browser.driver.get_screenshot_as_png())


if __name__ == "__main__":
    main()
