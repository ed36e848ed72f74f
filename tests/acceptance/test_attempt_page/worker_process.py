"""A worker that runs one attempt, to be killed in the middle of it: `worker_process.py FOLDER DEVICE`."""

import sys
import threading
from pathlib import Path

from agents.attempt import run_attempt
from agents.devices.declared import discover_devices
from agents.page_server import PageServer
from orchestrator.contract.attempt import AttemptSpec

folder, name = Path(sys.argv[1]), sys.argv[2]
page = Path(__file__).parent
files = {file.name: file for file in page.glob("*.[hm]*")}
found = discover_devices(folder / "devices.yaml", agent_id="lab", notice=print)
server = PageServer()
server.start()
run_attempt(
    AttemptSpec.model_validate_json((folder / "spec.json").read_text()),
    device=next(device for device in found if device.registration.name == name),
    page_server=server,
    page_files=files,
    media_types={name: "text/html" if name.endswith(".html") else "text/javascript" for name in files},
    model_files={},
    scratch=folder / "scratch",
    stop=threading.Event(),
)
