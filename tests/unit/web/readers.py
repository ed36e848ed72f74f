"""Hand-made audiences, over the cells that a test gives; and who looks at them."""

from orchestrator.contract.audience import AudienceView, Coverage
from orchestrator.contract.matrix import Cell
from orchestrator.contract.views import Listing
from orchestrator.contract.vocabulary import Role
from orchestrator.domain.audience import read_audience
from orchestrator.domain.coverage import Visitors, choose, cover
from orchestrator.domain.errors import NotFoundError
from orchestrator.domain.records import Caller
from tests.unit.cli import samples

CSV = "class,share\ndesktop,60\nlow-end,15\nflagship,5\n"


class HandMadeAudiences:
    """A class of the matrix's cells stands for the visitors of that name."""

    def __init__(self, cells: list[Cell], classes: list[str]) -> None:
        self.cells = cells
        self.classes = classes
        self.kept: dict[str, AudienceView] = {}
        self.role = Role.SUBMITTER

    async def caller(self) -> Caller:
        return Caller("wendy", self.role)

    def all(self) -> Listing[AudienceView]:
        return Listing(items=list(self.kept.values()))

    def put(self, name: str, csv: str, caller: Caller) -> AudienceView:
        segments = list(read_audience(csv, self.classes))
        named = sum(one.share for one in segments)
        self.kept[name] = AudienceView(
            name=name, created_at=samples.NOW, created_by=caller.name, segments=segments, named_share=named
        )
        return self.kept[name]

    def remove(self, name: str, caller: Caller) -> None:
        if self.kept.pop(name, None) is None:
            raise NotFoundError(f"there is no audience {name}")

    def coverage(self, name: str, *, emulated: bool = False, synthetic: bool = True) -> Coverage:
        if name not in self.kept:
            raise NotFoundError(f"there is no audience {name}")
        cells = [
            one for one in self.cells if (emulated or not one.emulated) and (synthetic or one.weights != "synthetic")
        ]
        visitors = [
            Visitors(
                segment,
                frozenset(
                    (one.device, one.browser_channel.replace(" ", "-"))
                    for one in cells
                    if one.device_class == segment.name
                ),
            )
            for segment in self.kept[name].segments
        ]
        found = cover(visitors, cells)
        return Coverage(audience=self.kept[name], variants=found, choices=choose(visitors, found))
