"""Whatever the OpenAPI document allows, and much that it does not: no 5xx, every answer as documented.

The requests are the same at every run, so that a failure is found again by running the test again.
"""

from collections.abc import Iterator
from typing import Any
from unittest import SkipTest

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
)

from orchestrator.contract.wire import CONTRACT_VERSION
from tests.integration.coordinator.lab import VARIANT, HandAgent, RunningCoordinator

NOT_ASKED = [
    # A document cannot say which variants are built, which attempts are leased or who may speak for an agent.
    positive_data_acceptance,
    # The document is of the models' shape; more than it tells is refused elsewhere, by the selectors' own language.
    negative_data_rejection,
    # On loopback people need no token.
    ignored_auth,
]


EXAMPLES = 12
"""Of each operation, as documented and not."""
NO_HTTP = "Received: text/plain; charset=utf-8"
"""What the server's parser answers to headers that are none, before the application sees them."""
ENDLESS: frozenset[str] = frozenset({"/api/v1/events"})
"""Paths whose answers do not end."""


def map_body(_context: Any, body: Any) -> Any:
    """Towards what reaches further than the first check: this version, a variant that is built."""
    if isinstance(body, dict) and "contract_version" in body:
        return body | {"contract_version": CONTRACT_VERSION}
    if isinstance(body, dict) and isinstance(body.get("variants"), list) and len(body["variants"]) % 2:
        return body | {"variants": [VARIANT]}
    return body


@pytest.fixture(scope="module")
def api(coordinator: RunningCoordinator) -> Iterator[Any]:
    agent = HandAgent(coordinator, agent_id="lab")
    assert agent.enrol().status_code == 200
    assert agent.answer is not None
    schema = schemathesis.openapi.from_url(f"{coordinator.url}/openapi.json")
    schema.config.update(headers={"Authorization": f"Bearer {agent.answer.agent_token}"})
    schema.hook(map_body)
    yield schema
    agent.close()


@pytest.fixture(scope="module")
def operations(api: Any) -> list[Any]:
    found = [result.ok() for result in api.get_all_operations()]
    return [operation for operation in found if operation.path not in ENDLESS]


def test_every_answer_is_documented(operations: list[Any]) -> None:
    """Each operation by itself: what one of them says wrong does not hide the others."""
    wrong: list[str] = []
    for operation in operations:
        for mode in GenerationMode:

            @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy(generation_mode=mode))
            def answers(case: Any) -> None:
                case.call_and_validate(excluded_checks=NOT_ASKED)

            try:
                answers()
            except (Unsatisfiable, SkipTest):
                continue  # without parameters there is nothing to get wrong
            except FailureGroup as found:
                told = [str(error) for error in found.exceptions]
                wrong += [f"{operation.label}, {mode.value} data:\n{one}" for one in told if NO_HTTP not in one]
    assert not wrong, "\n\n".join(wrong)
