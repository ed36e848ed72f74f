"""Health runs and throttled runs, as commands and the matrix show them."""

from datetime import timedelta

from orchestrator.cli.matrix_table import matrix_text
from orchestrator.contract.attempt import EnergyFigure, MemoryFigure
from orchestrator.contract.vocabulary import Mark, Purpose
from orchestrator.presentation.exports import to_csv, to_markdown
from orchestrator.presentation.selection import matrix_of_job
from orchestrator.presentation.words import marked_lines
from tests.unit.cli import samples
from tests.unit.cli.conftest import FakeCoordinator, fitmatrix
from tests.unit.cli.matrix_samples import cell, matrix


def test_health_runs_are_listed_when_they_are_asked_for(coordinator: FakeCoordinator) -> None:
    health = samples.run(purpose=Purpose.HEALTH, marks=[Mark.THROTTLED])
    coordinator.answer("GET /api/v1/jobs", [samples.job()])
    coordinator.answer("GET /api/v1/runs", [health])
    fitmatrix("jobs", server=coordinator.url)
    fitmatrix("jobs", "--all", server=coordinator.url)
    assert coordinator.asked("GET /api/v1/jobs") == ["/api/v1/jobs", "/api/v1/jobs?all=true"]
    text = fitmatrix("runs", "--all", server=coordinator.url).stdout
    assert coordinator.asked("GET /api/v1/runs") == ["/api/v1/runs?all=true&limit=50"]
    assert "health run" in text
    assert "↓ throttled" in text


def test_a_throttled_run_says_so_and_how_the_device_was(coordinator: FakeCoordinator) -> None:
    hot = samples.sick_device().health
    assert hot is not None
    cool = hot.model_copy(update={"battery_temperature_celsius": 30, "thermal_status": None})
    card = MemoryFigure(method="NVML, sampled", baseline_bytes=10**8, peak_bytes=5 * 10**8, samples=9)
    roles = samples.attempt_report().memory
    assert roles is not None
    report = samples.attempt_report(
        marks=[Mark.THROTTLED],
        health=[cool, hot.model_copy(update={"checked_at": samples.NOW + timedelta(seconds=90)})],
        energy=EnergyFigure(method="RAPL of the package", joules=812.4),
        gpu_memory=card,
        memory=roles.model_copy(
            update={"baseline_by_role": {"renderer": 10**7}, "peak_by_role": {"renderer": 3 * 10**8}}
        ),
    )
    run = samples.run_detail(marks=[Mark.THROTTLED], attempt_list=[samples.attempt(report=report)])
    coordinator.answer("GET /api/v1/runs/run-1", run)
    text = fitmatrix("run", "run-1", server=coordinator.url).stdout
    for words in (
        "↓ throttled: the device slowed itself down",
        "after 90 s",
        "41 °C, severe throttling",
        "812 J",
        "RAPL of the package",
        "graphics card",
        "400 MB",
        "· renderer",
        "290 MB",
    ):
        assert words in text, words


def test_a_cell_with_throttled_runs_says_how_many_and_the_legend_what_that_means() -> None:
    hot = matrix(cell(throttled_runs=2))
    assert marked_lines(hot.cells[0]) == ["✔ fits", "11.3 tok/s", "5/5 62–100 %", "↓ throttled 2"]
    for text in (matrix_text(hot), to_markdown(hot)):
        assert "↓ throttled 2" in text
        assert "slowed down for heat" in " ".join(text.split())
    assert "throttled_runs" in to_csv(hot).splitlines()[0]
    assert "throttled" not in matrix_text(matrix(cell()))


def test_two_browsers_of_one_device_are_two_columns() -> None:
    both = matrix(cell(browser="chrome 156"), cell(browser="webview 156"), cell(browser="chrome beta 156"))
    for text in (matrix_text(both), to_markdown(both), to_csv(both)):
        # A column's heading may be broken before the version.
        assert all(name in text for name in ("chrome 156", "webview 156", "chrome beta"))
    assert to_markdown(both).splitlines()[0].count("This machine") == 3


def test_a_jobs_part_of_the_matrix_is_of_its_browsers_alone() -> None:
    both = matrix(cell(browser="chrome 156"), cell(browser="webview 156"), cell(browser="chrome beta 156"))

    def part(browser: str) -> list[str]:
        runs = [samples.run(browser=browser)]
        return [one.browser for one in matrix_of_job(both, samples.job(), runs).cells]

    assert part("webview") == ["webview 156"]
    assert part("chrome") == ["chrome 156"]
    assert part("chrome-beta") == ["chrome beta 156"]
