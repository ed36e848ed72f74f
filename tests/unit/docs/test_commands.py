"""Every command that the documentation shows can be given as it is written; a test runs it, or it is said why not."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
import typer.main

from agents.cli.main import app as agent_app
from orchestrator.cli.main import app
from tests.integration.docs.typed import MENTIONED, TYPED
from tests.unit.docs.shell_blocks import SHELLS, Block, Command, blocks, commands, lines, outside_of_blocks

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [block for path in PAGES for block in blocks(path, path.relative_to(ROOT).as_posix())]
RUN_WHOLE: Final = {
    ("docs/ci.md", "bash"): "tests/integration/coordinator/test_ci.py",
    ("docs/several-hosts.md", "console"): "tests/acceptance/hosts/test_documented.py",
}
"""Blocks that a test runs as they are, by page and language."""
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
_IMAGES = "tests/integration/deploy/test_images.py"
RUN_ELSEWHERE: Final = {
    ("docs/deploying.md", "python3 -m venv /opt/fitmatrix"): _IMAGES,
    ("docs/deploying.md", "/opt/fitmatrix/bin/pip install --require-hashes -r requirements/coordinator.txt"): _IMAGES,
    ("docs/deploying.md", "/opt/fitmatrix/bin/pip install --no-deps fitmatrix-*.whl"): _IMAGES,
}
"""Lines that another test than those of tests/integration/docs runs, in an environment of its own."""
_NO_ENGINE = "needs a container engine; tests/integration/deploy/test_compose.py has Compose read the file"
_FROM_A_HUB = "downloads hundreds of MB from a hub; tests/integration/models/test_hub.py has one of its own"
NOT_RUN: Final = {
    ("README.md", "make demo"): "installs packages and builds models for minutes; it is run by hand and by CI",
    ("README.md", "make test"): "is what runs this test",
    ("docs/first-hour.md", "make demo"): "as in the README",
    ("docs/deploying.md", "docker compose --env-file deploy/compose.env -f deploy/compose.yaml up --build --detach"): (
        _NO_ENGINE
    ),
    ("docs/deploying.md", "docker compose -f deploy/compose.yaml cp ./lab/models coordinator:/var/lib/fitmatrix/"): (
        _NO_ENGINE
    ),
    ("docs/deploying.md", "docker compose -f deploy/compose.yaml cp ./lab/blobs coordinator:/var/lib/fitmatrix/"): (
        _NO_ENGINE
    ),
    (
        "docs/deploying.md",
        "docker compose -f deploy/compose.yaml exec coordinator fitmatrix backup /var/lib/fitmatrix/backup",
    ): _NO_ENGINE,
    (
        "docs/deploying.md",
        "journalctl -u fitmatrix-coordinator -f",
    ): "reads the journal of the tests' own machine",
    ("docs/models.md", "fitmatrix models build"): "builds the catalog for minutes with PyTorch; one variant is built",
    ("docs/models.md", "fitmatrix models build gemma3-1b-it.task-int4 --accept-licence"): _FROM_A_HUB,
    ("docs/models.md", "fitmatrix models build gemma-2b-it.bin-int4 --accept-licence --from ~/Downloads"): _FROM_A_HUB,
}
"""Lines that no test runs, and why; that they can be given is looked at all the same."""
LINES = list(
    dict.fromkeys(
        (block.page, line)
        for block in BLOCKS
        if block.language in SHELLS and (block.page, block.language) not in RUN_WHOLE
        for line in lines(block)
    )
)
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
    for word in command.words:
        if word.startswith(("deploy/", "requirements/", "grafana/", "ci/")) and not word.endswith("compose.env"):
            assert (ROOT / word).exists() or word in FILES, f"{command}: there is no {word}"


@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_test_runs_it_or_a_reason_is_given(page: str, line: str) -> None:
    typed = any(line in lab.get(page, {}) for lab in TYPED)
    assert [typed, (page, line) in RUN_ELSEWHERE, (page, line) in NOT_RUN].count(True) == 1, f"no test runs {line}"


def test_what_is_said_to_be_run_is_there() -> None:
    known = {*RUN_ELSEWHERE, *NOT_RUN, *((page, line) for lab in TYPED for page in lab for line in lab[page])}
    assert sorted(known - {*LINES}) == []
    assert RUN_WHOLE.keys() <= {(block.page, block.language) for block in BLOCKS}
    for test in [*RUN_ELSEWHERE.values(), *RUN_WHOLE.values()]:
        assert (ROOT / test).exists(), test


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_command_hides_in_another_kind_of_block(path: Path) -> None:
    page = path.relative_to(ROOT).as_posix()
    others = [block.text for block in blocks(path, page) if block.language not in SHELLS]
    indented = re.findall(r"^(?: {4}|\t)(.*)$", outside_of_blocks(path), re.MULTILINE)
    text = "\n".join([*others, *indented])
    assert re.findall(r"^(?:\$ |(?:fitmatrix(?:-agent)?|make|docker|pip|curl|python3?) ).*", text, re.MULTILINE) == []


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


NOT_TYPED: Final = {
    "fitmatrix up": "tests/integration/docs/test_this_machine.py runs it as `make up` does",
    "fitmatrix-agent install-appium": "downloads Appium; `make test` does so before phones are simulated",
    "fitmatrix-agent": "`--help` alone",
}


def called(words: tuple[str, ...]) -> str:
    """The program with its command, without what the command is given."""
    found: Any = OURS[words[0].rpartition("/")[2]]
    path = [words[0].rpartition("/")[2]]
    for word in words[1:]:
        if word.startswith("-") or not hasattr(found, "commands"):
            break
        found = found.commands[word]
        path.append(word)
    return " ".join(path)


def test_every_command_that_a_sentence_mentions_is_typed_somewhere() -> None:
    typed = [line for lab in TYPED for said in lab.values() for line in said]
    ran = [command for line in [*typed, *MENTIONED] for command in commands(Block("", "sh", line))]
    known = {called(command.words) for command in ran if command.program in OURS}
    assert {called(command.words) for command in mentioned()} - known == NOT_TYPED.keys()


NO_COMMANDS: Final = {"again", "agent", "broker", "is", "keeps", "needs"}
"""What follows the name in sentences that name no command."""
SOURCES = [
    path
    for folder in ("orchestrator", "agents", "deploy")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".sh", ".html", ".yml", ".yaml", ".service", ".example")
    and "node_modules" not in path.parts
]


def test_every_command_that_our_programs_name_is_there() -> None:
    unknown = []
    for path in SOURCES:
        for program, word in re.findall(r"\b(fitmatrix(?:-agent)?) ([a-z][a-z-]*)\b", path.read_text(encoding="utf-8")):
            if word not in OURS[program].commands and word not in NO_COMMANDS:
                unknown.append(f"{path.relative_to(ROOT)}: {program} {word}")
    assert unknown == []
