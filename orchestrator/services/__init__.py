"""Use cases, one transaction each; what they need is declared in `ports`."""
