"""Every command that the documentation shows exists as it is written; of others the test that runs them is named."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main

from agents.cli.main import app as agent_app
from orchestrator.cli.main import app
from tests.unit.docs.shell_blocks import SHELLS, Block, Command, blocks, commands, outside_of_blocks

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [block for path in PAGES for block in blocks(path, path.relative_to(ROOT).as_posix())]
RUN_WHOLE: Final = {("docs/ci.md", "bash"): "tests/integration/coordinator/test_ci.py"}
"""Scripts that a test runs as they are, by page and language."""
COMMANDS = [
    command
    for block in BLOCKS
    if block.language in SHELLS and (block.page, block.language) not in RUN_WHOLE
    for command in commands(block)
]
OURS: Final[dict[str, Any]] = {
    "fitmatrix": typer.main.get_command(app),
    "fitmatrix-agent": typer.main.get_command(agent_app),
}
_COMPOSE = "tests/integration/deploy/test_compose.py"
_IMAGES = "tests/integration/deploy/test_images.py"
_HOSTS = "tests/acceptance/hosts/test_documented.py"
_RUN = "tests/integration/coordinator/test_documented.py"
_UNITS = "tests/unit/agents_host/test_unit_file.py"
_CHANGES_THE_HOST = "not run: it changes, or reads, the users and services of the machine that tests run on"
RUN_ELSEWHERE: Final = {
    ("docs/several-hosts.md", "mkdir"): _HOSTS,
    ("docs/several-hosts.md", "cd"): _HOSTS,
    ("docs/several-hosts.md", "umask"): _HOSTS,
    ("docs/several-hosts.md", "openssl"): _HOSTS,
    ("docs/several-hosts.md", "chmod"): _HOSTS,
    ("docs/several-hosts.md", "cat"): _HOSTS,
    ("docs/several-hosts.md", "redis-server"): _HOSTS,
    ("docs/several-hosts.md", "export"): _HOSTS,
    ("docs/deploying.md", "cp"): f"{_COMPOSE}, {_UNITS}",
    ("docs/deploying.md", "docker"): _COMPOSE,
    ("docs/deploying.md", "python3"): _IMAGES,
    ("docs/deploying.md", "pip"): _IMAGES,
    ("docs/deploying.md", "useradd"): _CHANGES_THE_HOST,
    ("docs/deploying.md", "systemctl"): _UNITS,
    ("docs/deploying.md", "journalctl"): _CHANGES_THE_HOST,
    ("docs/deploying.md", "install"): _CHANGES_THE_HOST,
    ("docs/metrics.md", "cd"): "tests/monitoring/test_rules.py",
    ("docs/metrics.md", "prometheus"): "tests/monitoring/test_rules.py",
    ("docs/metrics.md", "python"): "tests/monitoring/test_dashboard.py",
    ("docs/security.md", "export"): "tests/integration/users",
    ("docs/first-hour.md", "export"): _RUN,
    ("docs/api.md", "curl"): _RUN,
}
"""By page and program, the tests that run it or look at what it is given; or why none does."""
FILES: Final = (
    "job.yaml",
    "JOB.yaml",
    "ci/job.yaml",
    "ci/gate.yaml",
    "visitors.csv",
    "fits.json",
    "field.json",
    "ca.crt",
)
"""What the pages' readers have."""


@pytest.fixture
def readers_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FITMATRIX_CA", "")  # which --ca sets for the process: put back in the end
    (tmp_path / "Downloads").mkdir()
    return tmp_path


def parse(program: str, words: list[str]) -> None:
    """As the program does, without doing anything."""
    command, name = OURS[program], program
    context = command.make_context(name, list(words))
    while hasattr(command, "commands"):
        rest = [*context._protected_args, *context.args]  # as the library keeps what belongs to the command below
        if not rest:
            return  # a group that does something by itself
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_it_can_be_given(command: Command, readers_directory: Path) -> None:
    if command.program in OURS:
        parse(command.program, [*command.words[1:]])
    elif command.program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert {word for word in command.words[1:] if "=" not in word} <= set(targets)
    else:
        assert (command.page, command.program) in RUN_ELSEWHERE, f"no test runs {command}"


def test_what_runs_them_elsewhere_is_there() -> None:
    shown = {(command.page, command.program) for command in COMMANDS}
    assert sorted(RUN_ELSEWHERE.keys() - shown) == []
    assert RUN_WHOLE.keys() <= {(block.page, block.language) for block in BLOCKS}
    for tests in [*RUN_ELSEWHERE.values(), *RUN_WHOLE.values()]:
        for test in tests.split(", ") if not tests.startswith("not run: ") else ():
            assert (ROOT / test).exists(), test


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_command_hides_in_another_kind_of_block(path: Path) -> None:
    page = path.relative_to(ROOT).as_posix()
    others = [block.text for block in blocks(path, page) if block.language not in SHELLS]
    indented = re.findall(r"^(?: {4}|\t)(.*)$", outside_of_blocks(path), re.MULTILINE)
    lines = "\n".join([*others, *indented])
    assert re.findall(r"^(?:\$ |(?:fitmatrix(?:-agent)?|make|docker|pip|curl|python3?) ).*", lines, re.MULTILINE) == []


def mentioned() -> list[Command]:
    """Commands within sentences, such as `fitmatrix why RUN`."""
    found: list[Command] = []
    for path in PAGES:
        for text in re.findall(r"`(fitmatrix(?:-agent)? [^`]+)`", outside_of_blocks(path)):
            block = Block(path.relative_to(ROOT).as_posix(), "console", " ".join(text.split()))
            found += commands(block)
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("command", mentioned(), ids=str)
def test_what_a_sentence_mentions_is_there(command: Command) -> None:
    """A sentence may leave out what a command needs; what it names has to be."""
    found: Any = OURS[command.program]
    for word in command.words[1:]:
        if word.startswith("--"):
            options = {name for parameter in found.params for name in [*parameter.opts, *parameter.secondary_opts]}
            options |= {"--help"}
            assert word.partition("=")[0] in options, command
        elif hasattr(found, "commands"):
            assert word in found.commands, command
            found = found.commands[word]
