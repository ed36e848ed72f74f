"""Is it alive, is it ready, how is it doing."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from orchestrator.api.access import State
from orchestrator.contract.views import Health

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process alive")
def healthz() -> Health:
    """Answers as long as the process serves requests."""
    return Health(status="ok", checks={})


@router.get("/readyz", summary="Is everything it needs there", responses={503: {"model": Health}})
def readyz(state: State, response: Response) -> Health:
    """Database, broker, dispatcher and the matrix, each with `ok` or what is wrong."""
    checks: dict[str, str] = {}
    for name, check in state.checks.items():
        try:
            check()
        except Exception as error:  # noqa: BLE001 (whatever a dependency raises is the answer)
            checks[name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        else:
            checks[name] = "ok"
    ready = all(result == "ok" for result in checks.values())
    if not ready:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return Health(status="ok" if ready else "not ready", checks=checks)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
def metrics(state: State, request: Request) -> Response:
    """In the format that the client likes best: Prometheus' text, OpenMetrics, or protobuf with native histograms."""
    text, media_type = state.metrics(request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": media_type})
