"""`python -m tests.bench`: measure figures and write them down."""

import argparse
import shutil
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from orchestrator.models.catalog import load_catalog
from tests.bench.catalog import all_trials
from tests.bench.lab import Lab, MeasureError
from tests.bench.markdown import JSON_FILE, page
from tests.bench.pairing import Patience
from tests.bench.plain import PlainPageError, PlainPages
from tests.bench.record import Figure, Figures, belongs
from tests.bench.trial import Chosen, LeftOut, Trial, choose
from tests.workbench import CACHE, new_workbench

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when all was measured, 1 when a figure failed, 2 for a name that nothing has."""
    asked = _parser().parse_args(arguments)
    trials, left_out = all_trials(load_catalog(CACHE).variants)
    if asked.list:
        _list(trials, left_out)
        return 0
    chosen = choose(trials, asked.only, asked.heavy)
    if not chosen:
        print(f"No figure is called {asked.only}. There are:", file=sys.stderr)
        _list(trials, left_out)
        return 2
    for missing in left_out:
        if asked.only is None or missing.name.startswith(asked.only):
            print(f"left out: {missing.name}: {missing.why}")
    patience = Patience() if asked.rounds is None else Patience.exactly(asked.rounds)
    try:
        failed = _measure(chosen, patience, asked.out)
    except KeyboardInterrupt:
        print("\nInterrupted. What was finished before has been kept.", file=sys.stderr)
        return INTERRUPTED
    for name, why in failed.items():
        print(f"failed: {name}: {why}", file=sys.stderr)
    return 1 if failed else 0


def _measure(chosen: Sequence[Chosen], patience: Patience, out: Path) -> dict[str, str]:
    with new_workbench() as workbench, PlainPages(workbench.scratch.parent / "plain") as plain_pages:
        lab = Lab(workbench, plain_pages, patience, say=lambda text: print(text, flush=True))
        try:
            return record_all(chosen, lab, out)
        finally:
            shutil.rmtree(workbench.scratch.parent, ignore_errors=True)


def record_all(chosen: Sequence[Chosen], lab: Lab, out: Path) -> dict[str, str]:
    """Runs the trials and writes each one's figures down at once; returns why the others failed, by name."""
    failed: dict[str, str] = {}
    for one in chosen:
        try:
            measurements = list(one.trial.measure(lab, one.wanted))
        except (MeasureError, PlainPageError) as error:
            failed |= dict.fromkeys(one.wanted, str(error))
            continue
        except Exception as error:  # noqa: BLE001 - one figure's trouble must not lose the others
            traceback.print_exc()
            failed |= dict.fromkeys(one.wanted, f"{type(error).__name__}: {error}")
            continue
        # Read anew: another figure may have been measured in the meantime.
        figures = Figures.load(out)
        for name in one.wanted:
            figures.replace(
                name,
                [
                    Figure(
                        **measurement.model_dump(),
                        date=lab.today,
                        machine=lab.machine,
                        command=f"make bench ONLY={name}",
                    )
                    for measurement in measurements
                    if belongs(measurement.name, name)
                ],
            )
        figures.save(out)
        out.with_suffix(".md").write_text(page(Figures.load(out)), encoding="utf-8")
    return failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure figures about fitmatrix.")
    parser.add_argument("--only", metavar="NAME", help="the figure of this name, or all whose names begin so")
    parser.add_argument("--heavy", action="store_true", help="the heavy ones as well")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each comparison; else by time")
    parser.add_argument("--list", action="store_true", help="say which figures there are")
    parser.add_argument("--out", type=Path, default=JSON_FILE, metavar="FILE", help="default: docs/benchmarks.json")
    return parser


def _list(trials: Sequence[Trial], left_out: Sequence[LeftOut]) -> None:
    for trial in trials:
        for name in trial.names:
            print(f"{name}{'  (heavy: only with --heavy or by its name)' if trial.heavy else ''}")
    for missing in left_out:
        print(f"{missing.name}  (left out: {missing.why})")


if __name__ == "__main__":
    # Whoever ends it, what it has started is ended too: a coordinator, a database.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
