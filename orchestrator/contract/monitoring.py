"""What Prometheus is told."""

from orchestrator.contract.base import Answer


class ScrapeTargets(Answer):
    """An item of Prometheus' HTTP service discovery."""

    targets: list[str]
    """Hosts with ports."""
    labels: dict[str, str]
    """Of everything that is scraped there."""
