"""Windows open and close by the clock on the wall; classes and pools follow the devices' facts."""

from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orchestrator.contract.device import Browser
from orchestrator.domain.lab_plan import DeviceClass, LabPlan, Pool, Window
from orchestrator.domain.selector import Selector
from tests.unit.domain.builders import BROWSER, NOW, device, device_probe, device_record

BERLIN = ZoneInfo("Europe/Berlin")


def window(**changes: Any) -> Window:
    values: dict[str, Any] = {"name": "updates", "selector": Selector("true"), "zone": ZoneInfo("UTC")}
    return Window(**(values | changes))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # the parts are a date and a time


@pytest.mark.parametrize(
    ("changes", "now", "until"),
    [
        # 2026-01-04 is a Sunday.
        ({"opens": time(2), "closes": time(5)}, utc(2026, 1, 4, 1, 59), None),
        ({"opens": time(2), "closes": time(5)}, utc(2026, 1, 4, 2), utc(2026, 1, 4, 5)),
        ({"opens": time(2), "closes": time(5)}, utc(2026, 1, 4, 5), None),
        ({"opens": time(22), "closes": time(6)}, utc(2026, 1, 4, 3), utc(2026, 1, 4, 6)),
        ({"opens": time(22), "closes": time(6), "days": frozenset({6})}, utc(2026, 1, 4, 3), None),
        ({"opens": time(22), "closes": time(6), "days": frozenset({6})}, utc(2026, 1, 5, 3), utc(2026, 1, 5, 6)),
        ({"days": frozenset({5, 6})}, utc(2026, 1, 3, 12), utc(2026, 1, 5)),
        ({"days": frozenset({5, 6})}, utc(2026, 1, 5), None),
        ({"first": date(2026, 1, 4), "last": date(2026, 1, 9)}, utc(2026, 1, 3, 23, 59), None),
        ({"first": date(2026, 1, 4), "last": date(2026, 1, 9)}, utc(2026, 1, 4), utc(2026, 1, 10)),
        ({"first": date(2026, 1, 4), "last": date(2026, 1, 9)}, utc(2026, 1, 10), None),
        ({"days": frozenset({0}), "first": date(2026, 1, 4), "last": date(2026, 1, 9)}, utc(2026, 1, 6), None),
        # In Berlin it is one hour later than in UTC, in summer two.
        ({"zone": BERLIN, "opens": time(2), "closes": time(5)}, utc(2026, 1, 4, 1, 30), utc(2026, 1, 4, 4)),
        ({"zone": BERLIN, "opens": time(2), "closes": time(5)}, utc(2026, 7, 4, 1, 30), utc(2026, 7, 4, 3)),
        # The night in which two o'clock becomes three, and the one in which three becomes two.
        ({"zone": BERLIN, "opens": time(1), "closes": time(4)}, utc(2026, 3, 29, 0, 30), utc(2026, 3, 29, 2)),
        ({"zone": BERLIN, "opens": time(1), "closes": time(4)}, utc(2026, 10, 25, 2, 30), utc(2026, 10, 25, 3)),
        ({"zone": BERLIN, "opens": time(1), "closes": time(4)}, utc(2026, 10, 25, 3), None),
    ],
)
def test_a_window_is_open_until(changes: dict[str, Any], now: datetime, until: datetime | None) -> None:
    assert window(**changes).until(now) == until


def test_of_several_windows_the_longest_counts() -> None:
    plan = LabPlan(
        windows=(
            window(name="short", opens=time(2), closes=time(4)),
            window(name="long", opens=time(2), closes=time(6)),
            window(name="others", opens=time(0), closes=time(12), selector=Selector("emulated")),
        )
    )
    found = plan.maintenance(device_record(), utc(2026, 1, 4, 3))
    assert found is not None
    assert (found[0].name, found[1]) == ("long", utc(2026, 1, 4, 6))
    assert plan.maintenance(device_record(), utc(2026, 1, 4, 8)) is None


PLAN = LabPlan(
    classes=(
        DeviceClass("big", Selector("ram_gib >= 16")),
        DeviceClass("fast", Selector("gflops.wasm > 1")),
        DeviceClass("view", Selector("browser.name == 'webview'")),
        DeviceClass("first card", Selector("gpus[0].memory_gib >= 0.0")),
    ),
    pools=(Pool("all", 3), Pool("big ones", 1, Selector("'big' in classes && browser.name == 'webview'"))),
)


def test_a_device_belongs_with_any_of_its_browsers() -> None:
    webview = Browser(name="webview", version="156.0.1")
    both = device_record(device(browsers=[BROWSER, webview]))
    assert PLAN.classes_of(both) == ("big", "view")
    assert PLAN.classes_of(both, BROWSER.id) == ("big",)
    assert PLAN.classes_of(both, webview.id) == ("big", "view")
    assert PLAN.facts_of(both, webview)["classes"] == ["big", "view"]
    assert [pool.name for pool in PLAN.pools_of(both)] == ["all", "big ones"]


def test_a_selector_that_fails_for_a_device_does_not_select_it() -> None:
    assert "first card" not in PLAN.classes_of(device_record())


def test_a_device_without_a_browser_is_in_nothing() -> None:
    bare = device_record(device(browsers=[]))
    assert (PLAN.classes_of(bare), PLAN.pools_of(bare)) == ((), ())


def test_a_probe_changes_what_a_device_belongs_to() -> None:
    assert PLAN.classes_of(device_record()) == ("big",)
    assert PLAN.classes_of(device_record(probe=device_probe())) == ("big", "fast")
    assert PLAN.classes_of(device_record()) == ("big",)


def test_a_lab_without_a_plan_has_nothing() -> None:
    plan = LabPlan()
    record = device_record()
    assert (plan.classes_of(record), plan.pools_of(record), plan.maintenance(record, NOW)) == ((), (), None)
