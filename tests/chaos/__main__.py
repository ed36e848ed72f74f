"""`python -m tests.chaos [SEED]`: the long form."""

import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.lab import LONG
from tests.chaos.torment import torment


def main() -> int:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(1_000_000)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="fitmatrix-chaos-") as scratch:
        account = torment(seed, LONG, Path(scratch))
    print(account.words())
    return 1 if account.violations else 0


if __name__ == "__main__":
    sys.exit(main())
