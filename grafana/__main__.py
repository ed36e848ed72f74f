"""Writes the dashboards' JSON into a directory: `python -m grafana grafana/dashboards`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from grafana import device, fits_on_device, lab_health, model

DASHBOARDS: Final[dict[str, Callable[[], str]]] = {
    "fits-on-device": fits_on_device.generate,
    "lab-health": lab_health.generate,
    "model": model.generate,
    "device": device.generate,
}


def write(directory: Path) -> None:
    for name, generate in DASHBOARDS.items():
        (directory / f"{name}.json").write_text(generate())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
