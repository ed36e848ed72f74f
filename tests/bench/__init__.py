"""Figures about fitmatrix itself: `python -m tests.bench`, or `make bench ONLY=name` for one alone.

They go to `docs/benchmarks.json`, from which `docs/benchmarks.md` is generated. Nothing here asserts a time.
"""
