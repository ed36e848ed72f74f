"""Every line that the documentation has its readers type, by the lab that a test types it in, and what it answers.

A line is a key with what has to be among the words that it writes, as a regular expression; `""` is a line that has
nothing to say. What a test looks at by itself is `""` too, such as what a server that goes on running says.
`tests/unit/docs/test_commands.py` fails where a page has a line that is neither here nor among those that another test
runs or that cannot be run, each with its reason.
"""

from collections.abc import Mapping
from typing import Final

Said = Mapping[str, str]
_WAITED: Final = r"cells settled; runs: \d+ finished .*✔ fits"
_DRY: Final = r"runs \d+ would be queued, in \d+ cells device time .* Nothing was created\."
_PROBED: Final = r"runs: \d+ finished .*WebGPU intel gen-12lp"
_DEVICE: Final = r"this-machine name this machine state ○ idle .* history fitmatrix runs --device"
_UNCHANGED: Final = r"^9 pairs: 9 without a change"
_GATE: Final = r"✔ fits .*Gate ci/gate\.yaml holds\. Requirements met: (\d) of \1\."

PLAYED: Final[Mapping[str, Said]] = {
    "README.md": {
        ".venv/bin/fitmatrix models list": r"SmolLM2-135M-Instruct .*smollm2-135m-instruct\.q8 .*not built",
        ".venv/bin/fitmatrix submit job.yaml --wait": _WAITED,
        ".venv/bin/fitmatrix matrix --format markdown": r"\| .*smollm2-135m-instruct\.q8.* \|",
        "fitmatrix devices": r"this-machine .*○ idle",
    },
    "docs/api.md": {
        'curl "$FITMATRIX_SERVER/api/v1/matrix/view?rows=model,backend&columns=facts.os,device_class&origin=physical"': (  # noqa: E501 - as it is typed
            r'"slots":\[\{.*"verdict":"fits"'
        ),
        "fitmatrix matrix --rows model,backend --columns facts.os,device_class --only origin=physical": (
            r"android linux model, backend phone desktop .*✔ fits .*by facts\.os, device_class; \d+ cells"
        ),
        "fitmatrix webhooks add ci https://ci.example.org/hooks/fitmatrix --notice job.finished --notice job.cancelled": (  # noqa: E501 - as it is typed
            r"ci is told at http://127\.0\.0\.1:\d+/ secret: whsec_\S+ Try it: fitmatrix webhooks ping ci"
        ),
        "fitmatrix webhooks ping ci": r"^ci took it: 204",
    },
    "docs/audiences.md": {
        "fitmatrix audiences put our-site visitors.csv": r"our-site: 4 kinds of device, 88 % of the visitors",
        "fitmatrix audiences show our-site": r"smollm2-135m-instruct\.q8 .* % \(\d+ to \d+\) .*frontier",
        "fitmatrix audiences show our-site --emulated": r"low-end phone 22\.5 % .*frontier",
        "fitmatrix audiences list": r"our-site 4 88 % local",
        "fitmatrix audiences remove our-site": r"our-site is removed",
    },
    "docs/ci.md": {
        "fitmatrix submit ci/job.yaml --wait --timeout 3600 --gate ci/gate.yaml --junit fitmatrix.xml": _GATE,
    },
    "docs/deploying.md": {
        "fitmatrix backup /mnt/backup/fitmatrix": r"\d+ new of \d+ blobs snapshot \S+ in /\S+",
        "fitmatrix restore /mnt/backup/fitmatrix --data ./restored": (
            r"restored what was there at \S+ \S+ UTC into /\S+/restored$"
        ),
    },
    "docs/exports.md": {
        "fitmatrix matrix --format csv --output matrix.csv": "",
        "fitmatrix matrix --format parquet --output matrix.parquet": "",
        "fitmatrix matrix --format html --output matrix.html --only origin=physical": "",
        "fitmatrix matrix --format fits --output fits.json": "",
        "fitmatrix verify fits.json": r"\d+ cells, unchanged, .*Whose key that is has not been checked",
        "fitmatrix verify fits.json --key 21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9": (
            r"\d+ cells, unchanged, signed with the key [0-9a-f]{64}$"
        ),
        "fitmatrix imports put field-2026 field.json": r"field-2026: 1 cell of 5 runs",
        "fitmatrix imports list": r"field-2026 fitmatrix\.import/1 1 5 local",
        "fitmatrix imports remove field-2026": r"field-2026 is removed",
    },
    "docs/first-hour.md": {
        "export PATH=$PWD/.venv/bin:$PATH": "",
        "fitmatrix devices": r"this-machine .*○ idle",
        "fitmatrix models list --built": r"smollm2-135m-instruct\.q8 .*✔ ",
        "fitmatrix devices probe": _PROBED,
        "fitmatrix devices show DEVICE": _DEVICE,
        "fitmatrix submit job.yaml --dry-run": _DRY,
        "fitmatrix submit job.yaml --wait": _WAITED,
        "fitmatrix matrix": r"✔ fits .*5/5 62–100 %",
        "fitmatrix matrix --only workload=pp64/tg32": (
            r"✔ fits .*pp64/tg32 24\.8 tok/s .*pp64/tg32 not the standard workload"
        ),
        "fitmatrix matrix --rows model,quantization --columns device --only backend=wasm": (
            r"model, quantization .*model, quantization by device; \d+ cells"
        ),
        "fitmatrix matrix --format csv --output matrix.csv": "",
        "fitmatrix runs": r"run outcome what was run, and where finished .*✔ fits",
        "fitmatrix run RUN": r"outcome ✔ fits .*Figures .*Validation .*Attempt 1",
    },
    "docs/jobs.md": {
        "fitmatrix submit JOB.yaml --dry-run": _DRY,
        "fitmatrix cancel JOB": r"state cancelled",
        "fitmatrix cancel RUN": r"cancelled",
        "fitmatrix devices probe": _PROBED,
        "fitmatrix devices probe '!probed'": r"new\.\w+ probed .*chromium 156 WebGPU intel gen-12lp",
        "fitmatrix devices probe --browser webview": r"webview 157 .*WebGPU intel gen-12lp",
        "fitmatrix devices show lab-1.this-machine": _DEVICE,
        "fitmatrix submit job.yaml": "",
    },
    "docs/maintainers.md": {
        'fitmatrix devices reserve lab.pixel --for 2h --note "a crash in WebView"': (
            r"lab\.pixel .*reserved .*local has it until .*a crash in WebView"
        ),
        "fitmatrix devices release lab.pixel": r"lab\.pixel .*○ idle",
        'fitmatrix devices drain lab.pixel --note "new battery on Monday"': r"drained .*new battery on Monday",
        "fitmatrix devices undrain lab.pixel": r"lab\.pixel .*○ idle",
    },
    "docs/matrix.md": {
        "fitmatrix matrix": r"✔ fits",
        "fitmatrix matrix --rows model,backend --columns device_class": r"model, backend desktop phone .*✔ fits",
        "fitmatrix matrix --rows technique --columns facts.os --only origin=physical": (
            r"technique android linux .*parameter-sharing ✔ fits"
        ),
        "fitmatrix matrix --only browser_version=156 --only backend=webgpu": r"webgpu \? unsettled .*2/2 33–100 %",
        "fitmatrix matrix --only label=release=2026-11 --only since=2026-11-01T00:00:00Z": r"5/5 62–100 %",
        "fitmatrix compare browser_version 156 157": _UNCHANGED,
        "fitmatrix compare backend wasm webgpu --only device=lab.phone": r"^\d+ pairs: \d+ without a change",
        "fitmatrix compare time 2026-11-01T00:00:00Z --all": (
            r"none smollm2-135m-instruct\.q8 .*unsettled 2/2 fits \d/\d .*decode × 1\.00"
        ),
    },
    "docs/models.md": {
        "fitmatrix models list": r"gemma3-1b-it\.task-int4 mediapipe-llm webgpu not built .*\(to accept\)",
        "fitmatrix models list --built": r"smollm2-135m-instruct\.q8 .*✔ ",
    },
    "docs/qa.md": {
        "fitmatrix submit job.yaml --dry-run": _DRY,
        "fitmatrix devices classes": r"low-end phone lab\.pixel",
        "fitmatrix devices probe '!probed'": r"new\.\w+ probed .*chromium 156 WebGPU intel gen-12lp",
        "fitmatrix submit job.yaml --wait --timeout 3600": _WAITED,
        "fitmatrix submit ci/job.yaml --wait --gate ci/gate.yaml --junit fitmatrix.xml": _GATE,
        "fitmatrix compare browser_version 156 157": _UNCHANGED,
        "fitmatrix compare variant smollm2-135m-instruct.q4 smollm2-135m-instruct.q8": r"measured on one side alone",
        "fitmatrix compare time 2026-11-01T00:00:00Z": r"pairs: \d+ without a change|measured on one side alone",
    },
}
"""In a lab with a played desktop and phone, which have measured with two versions of their browsers."""

MENTIONED: Final[Said] = {
    "fitmatrix agents list": r"agent host version last seen devices .*lab-pixel",
    "fitmatrix audit": r"when who what of detail .*job\.submit j-\w+ name nightly",
    "fitmatrix devices show DEVICE": _DEVICE,
    "fitmatrix job JOB --wait --gate ci/gate.yaml --junit again.xml": r"Gate ci/gate\.yaml holds\.",
    "fitmatrix jobs --all": r"nightly finished",
    "fitmatrix runs --device DEVICE": r"✔ fits .*this machine, chromium",
    "fitmatrix tokens create prometheus --role reader": r"prometheus, role reader, until .* fm_\S+$",
    "fitmatrix why RUN": r"^RUN waits for nothing: it is finished",
}
"""What sentences mention and no page shows as a line, typed in the same lab, with what stands for its placeholders."""

MACHINE: Final[Mapping[str, Said]] = {
    "README.md": {
        "fitmatrix-agent doctor": r"ok disk .* free below .*ok \S+\.this-machine \w+ [\d.]+ with its chromedriver",
        "fitmatrix-agent devices": r"this machine .*\(physical\) .*ready",
        "fitmatrix models build --data DATA llama-tiny.q8": r"✔ llama-tiny\.q8: built: 6 files",
        "fitmatrix-agent run-once llama-tiny.q8 --models DATA --device SERIAL": (
            r"init: model ready after .*it ran decode \d\S* tok/s first token in .*memory .* above the idle browser"
        ),
        "make up": r"fitmatrix is up\. Ctrl-C stops it\. matrix page http://127\.0\.0\.1:\d+/",
        "fitmatrix-agent run --coordinator http://127.0.0.1:8600": "",
    },
    "docs/first-hour.md": {"make up": ""},
    "docs/models.md": {
        "fitmatrix models build gemma3-270m.litertlm-q8": "",
    },
}
"""With this machine's own browser, and what `make up` runs."""

GUARDED: Final[Mapping[str, Said]] = {
    "docs/security.md": {
        "fitmatrix tokens create root --role admin --expires never": r"root, role admin, .*fm_\S+",
        "export FITMATRIX_TOKEN=fm_…": "",
        "fitmatrix tokens create alice --role submitter --expires 90d": r"alice, role submitter, until .*fm_\S+",
        "fitmatrix tokens list": r"alice submitter good until .*root admin good",
        "fitmatrix tokens revoke alice": r"^alice is revoked",
        "fitmatrix agents code --expires 1h": r"For one agent, until .*fmc_\S+",
        "export FITMATRIX_AGENT_TOKEN=fmc_…": "",
        "fitmatrix-agent run --coordinator https://10.0.0.1:8600 --ca ca.crt": "",
        "fitmatrix agents list": r"last seen devices .*\.this-machine",
        "fitmatrix agents revoke desk-a1b2c3": r" is revoked",
    },
}
"""On a coordinator with TLS that nobody has a token of yet; then an agent of this machine."""

DEPLOYED: Final[Mapping[str, Said]] = {
    "docs/deploying.md": {
        "cp deploy/compose.env.example deploy/compose.env": "",
        "useradd --system --create-home --home-dir /var/lib/fitmatrix fitmatrix": "",
        "install -D -m 600 /dev/stdin /etc/fitmatrix/coordinator.env <<END\n"
        "FITMATRIX_TOKEN=$(openssl rand -hex 24)\nEND": "",
        "cp deploy/systemd/fitmatrix-coordinator.service /etc/systemd/system/": "",
        "systemctl enable --now fitmatrix-coordinator": r"Created symlink .*multi-user\.target\.wants",
        "FITMATRIX_PUBLIC_URL=https://lab.example fitmatrix coordinator": "",
    },
    "docs/metrics.md": {
        "cd deploy/prometheus && prometheus --config.file prometheus.yml "
        "--enable-feature=exemplar-storage,native-histograms": "",
        "python -m grafana grafana/dashboards": "",
    },
    "docs/several-hosts.md": {
        "export FITMATRIX_BLOBS_URL=s3://lab-artifacts/fitmatrix": "",
        "export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=… AWS_REGION=eu-central-1": "",
        "export AWS_ENDPOINT_URL=https://storage.lab:9000": "",
    },
}
"""Below directories of the test's own, where the pages write to the system's."""

PHONE: Final[Mapping[str, Said]] = {
    "README.md": {
        "fitmatrix-agent prepare SERIAL": r"is prepared; put it back with: fitmatrix-agent release \S+$",
        "fitmatrix-agent release SERIAL": r"is as it was: \w.*, \w",
        "fitmatrix-agent record SERIAL --out FOLDER": r"recording\.json is written\. Taken out: \d+ × ",
    },
}
"""Beside a simulated phone."""

TYPED: Final = (PLAYED, MACHINE, GUARDED, DEPLOYED, PHONE)
