"""What a command says at the end of a job: tables, `gate.yaml`, JUnit XML, exit code."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from orchestrator.cli.console import ExitCode, fail, screen

if TYPE_CHECKING:
    from orchestrator.cli.gate import GateResult
    from orchestrator.cli.gate_file import Gate
    from orchestrator.cli.job_cells import JobResult
    from orchestrator.client import Client
    from orchestrator.contract.views import JobView

EXITS: Final = (
    "0 submitted, or with --wait: every run has a result, or the gate holds",
    "1 some runs have no result: the lab failed them, or they expired or were cancelled; with --gate: some of what it "
    "asks for was not measured",
    "2 bad input",
    "3 the coordinator cannot be reached or has failed",
    "4 the gate is broken",
    "124 the job is not done within --timeout; it goes on",
    "130 interrupted while waiting; the job goes on",
)


@dataclass(frozen=True)
class Checks:
    """What a build wants of a job, besides its end."""

    junit: Path | None
    gate_path: Path | None
    gate: "Gate | None"
    timeout_seconds: float | None


def read_checks(wait: bool, junit: Path | None, gate_path: Path | None, timeout_seconds: float | None) -> Checks:
    """Before anything is submitted: what is wrong with the flags or the gate ends the command."""
    given = {"--junit": junit, "--gate": gate_path, "--timeout": timeout_seconds}
    for flag, value in given.items():
        if value is not None and not wait:
            fail(f"{flag} needs --wait: there is nothing to judge before the job is done", ExitCode.BAD_INPUT)
    if junit is not None and not junit.absolute().parent.is_dir():
        fail(f"cannot write {junit}: there is no directory {junit.parent}", ExitCode.BAD_INPUT)
    gate = None
    if gate_path is not None:
        from orchestrator.cli.gate_file import GateFileError, read_gate_file

        try:
            gate = read_gate_file(gate_path)
        except GateFileError as error:
            fail(str(error), ExitCode.BAD_INPUT)
    return Checks(junit, gate_path, gate, timeout_seconds)


def conclude(client: "Client", job: "JobView", checks: Checks, *, as_json: bool) -> ExitCode:
    """Shows what the job has measured, writes the JUnit file, and says how the command ends."""
    from orchestrator.cli.job_cells import job_result
    from orchestrator.contract.vocabulary import JobState

    result = job_result(client, job, with_catalog=checks.gate is not None and checks.gate.has_queries)
    judged = _judge(result, checks)
    if as_json:
        from orchestrator.cli.gate_table import gate_json

        said = {"job": job.model_dump(mode="json", by_alias=True), "matrix": result.matrix.model_dump(mode="json")}
        if judged is not None:
            said["gate"] = gate_json(judged)
        typer.echo(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        _show(client, result, judged, checks)
    if checks.junit is not None:
        _write_junit(client, result, judged, checks.junit)
    if job.state is JobState.ACTIVE:
        typer.echo(
            f"fitmatrix: the job is not done after {checks.timeout_seconds:g} s and goes on. "
            f"Wait for it again with: fitmatrix job {job.id} --wait",
            err=True,
        )
        return ExitCode.NOT_DONE_IN_TIME
    return _exit_code(job, judged)


def _judge(result: "JobResult", checks: Checks) -> "GateResult | None":
    if checks.gate is None:
        return None
    from orchestrator.cli.gate import judge_gate
    from orchestrator.domain.errors import InvalidRequestError

    try:
        return judge_gate(checks.gate, result.cells)
    except InvalidRequestError as error:
        said = "; ".join(field.allowed for field in error.fields)
        fail(f"{checks.gate_path}: {error} {said}", ExitCode.BAD_INPUT)


def _show(client: "Client", result: "JobResult", judged: "GateResult | None", checks: Checks) -> None:
    from orchestrator.cli.device_report import probes_table
    from orchestrator.cli.devices import probed_devices
    from orchestrator.cli.matrix_table import matrix_renderable

    out = screen()
    if result.job.cells:
        out.print(matrix_renderable(result.matrix, out.width))
    found, browsers, _ = probed_devices(client, result.job)
    if found:
        out.print(probes_table(found, browsers))
    if judged is not None and checks.gate_path is not None:
        from orchestrator.cli.gate_table import gate_renderable

        out.print(gate_renderable(judged, checks.gate_path))


def _write_junit(client: "Client", result: "JobResult", judged: "GateResult | None", path: Path) -> None:
    from orchestrator.cli.junit import junit_xml

    try:
        path.write_bytes(junit_xml(result, client.url, judged))
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror or error}", ExitCode.BAD_INPUT)


def _exit_code(job: "JobView", judged: "GateResult | None") -> ExitCode:
    if judged is None:
        without_result = job.runs.inconclusive + job.runs.expired + job.runs.cancelled
        return ExitCode.INCONCLUSIVE if without_result else ExitCode.DONE
    from orchestrator.cli.gate import Outcome

    return {
        Outcome.MET: ExitCode.DONE,
        Outcome.BROKEN: ExitCode.GATE_BROKEN,
        Outcome.UNMEASURED: ExitCode.INCONCLUSIVE,
    }[judged.outcome]
