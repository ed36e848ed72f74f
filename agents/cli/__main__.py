"""`python -m agents.cli`: the same as `fitmatrix-agent`."""

from agents.cli.main import main

if __name__ == "__main__":
    main()
