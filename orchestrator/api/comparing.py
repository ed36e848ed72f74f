"""Two matrices, compared."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from orchestrator.api.access import State, require_user
from orchestrator.api.examples import COMPARISON, answered
from orchestrator.api.matrix import Only
from orchestrator.api.problems import RESPONSES
from orchestrator.contract.comparison import Comparison
from orchestrator.contract.vocabulary import Varied
from orchestrator.services.comparing import ComparisonQuery
from orchestrator.services.paging import MOST_ITEMS

router = APIRouter(dependencies=[Depends(require_user)], responses=RESPONSES, tags=["matrix"])


@router.get("/compare", summary="Compare two matrices", responses=answered(COMPARISON))
def compare_matrices(
    state: State,
    only: Only,
    vary: Annotated[Varied, Query(description="What the two arms differ in.")],
    a: Annotated[
        str, Query(max_length=200, description="The first arm's value; for `time` the moment that parts them.")
    ],
    b: Annotated[str, Query(max_length=200, description="The second arm's value; left out for `time`.")] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_ITEMS, description="Most pairs to list; flips come first.")] = 100,
) -> Comparison:
    """Pairs of cells that are alike in everything but what is varied, flips first.

    Shares of fitting runs are compared by Fisher's exact test, medians by a bootstrap of their ratio. A version may be
    given by its first numbers, such as `157`.
    """
    return state.comparing.compare(ComparisonQuery(vary, a, b, only, limit))
