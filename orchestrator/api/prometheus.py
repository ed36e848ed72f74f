"""Where Prometheus finds what it scrapes."""

from fastapi import APIRouter, Depends

from orchestrator.api.access import State, require
from orchestrator.api.problems import RESPONSES
from orchestrator.contract.monitoring import ScrapeTargets
from orchestrator.contract.vocabulary import Role

router = APIRouter(responses=RESPONSES)


@router.get(
    "/prometheus/agents",
    tags=["agents"],
    summary="List where agents serve metrics",
    dependencies=[Depends(require(Role.READER))],
)
def list_metrics_targets(state: State) -> list[ScrapeTargets]:
    """For Prometheus' `http_sd_configs`: every agent that serves metrics, silent ones too, and no revoked one."""
    return state.observing.agent_targets()
