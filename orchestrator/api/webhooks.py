"""Webhooks, for admins: the coordinator posts to whatever address they name."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from orchestrator.api.access import CallingAdmin, State
from orchestrator.api.examples import CREATED_WEBHOOK, DELIVERY, WEBHOOK, WEBHOOK_REQUEST, answered, listed
from orchestrator.api.problems import NOT_FOUND, RESPONSES, documented
from orchestrator.contract.views import Listing
from orchestrator.contract.webhooks import CreatedWebhook, DeliveryView, WebhookRequest, WebhookView
from orchestrator.services.paging import MOST_ITEMS, Page

router = APIRouter(responses=RESPONSES, tags=["webhooks"])

Name = Annotated[str, Path(max_length=100)]


@router.post(
    "/webhooks",
    status_code=HTTPStatus.CREATED,
    summary="Register a webhook",
    responses=documented(CONFLICT="The name is taken, or there are as many webhooks as there may be.")
    | answered(CREATED_WEBHOOK, 201),
    openapi_extra={"requestBody": {"content": {"application/json": {"example": WEBHOOK_REQUEST}}}},
)
def register_webhook(request: WebhookRequest, state: State, caller: CallingAdmin) -> CreatedWebhook:
    """The answer alone holds the secret that signs what is sent (Standard Webhooks)."""
    return state.webhooks.register(request, caller)


@router.get("/webhooks", summary="List webhooks", responses=listed(WEBHOOK))
def list_webhooks(state: State, caller: CallingAdmin) -> Listing[WebhookView]:  # noqa: ARG001 - asked for, so that only who may look does
    """All of them, by name."""
    return state.webhooks.all()


@router.get("/webhooks/{name}", summary="Show a webhook", responses=NOT_FOUND | answered(WEBHOOK))
def show_webhook(name: Name, state: State, caller: CallingAdmin) -> WebhookView:  # noqa: ARG001 - as above
    """Without its secret."""
    return state.webhooks.show(name)


@router.delete("/webhooks/{name}", status_code=HTTPStatus.NO_CONTENT, summary="Remove a webhook", responses=NOT_FOUND)
def remove_webhook(name: Name, state: State, caller: CallingAdmin) -> Response:
    """What is on its way to it is given up."""
    state.webhooks.remove(name, caller)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post("/webhooks/{name}/ping", summary="Test a webhook", responses=NOT_FOUND | answered(DELIVERY))
def ping_webhook(name: Name, state: State, caller: CallingAdmin) -> DeliveryView:  # noqa: ARG001 - as above
    """Sends a notice of type `ping` at once and once; answers with what came of it."""
    return state.webhooks.ping(name)


@router.get("/webhooks/{name}/deliveries", summary="List deliveries", responses=NOT_FOUND | listed(DELIVERY))
def list_deliveries(
    name: Name,
    state: State,
    caller: CallingAdmin,  # noqa: ARG001 - as above
    limit: Annotated[int, Query(ge=1, le=MOST_ITEMS, description="Most items to return.")] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="The `next` of the page before.")] = None,
) -> Listing[DeliveryView]:
    """What was sent to it and what is on its way, newest first, each with the last answer."""
    return state.webhooks.deliveries(name, Page(limit, cursor))
