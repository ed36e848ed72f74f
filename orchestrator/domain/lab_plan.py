"""What a lab has decided about its devices: classes, pools, and when they are left alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.contract.device import Browser, DeviceProbe, DeviceRegistration
from orchestrator.domain.errors import InvalidRequestError
from orchestrator.domain.expression import Facts, as_context
from orchestrator.domain.records import DeviceRecord
from orchestrator.domain.selector import Selector, selectable_facts

MOST_DAYS = 3_660
"""Longest range of days of a window."""
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DeviceClass:
    """A named reference tier."""

    name: str
    selector: Selector
    description: str = ""


@dataclass(frozen=True)
class Pool:
    """Devices of which at most `limit` may work on an attempt at once."""

    name: str
    limit: int
    selector: Selector = field(default_factory=lambda: Selector("true"))


@dataclass(frozen=True)
class Window:
    """When devices are left alone: on `days` (0 is Monday) from `opens` to `closes`, between two dates.

    Times are the clock's on the wall in `zone`. Without times it is whole days. A window that closes earlier than it
    opens ends on the next day, and belongs to the day on which it began.
    """

    name: str
    selector: Selector
    zone: ZoneInfo
    days: frozenset[int] = frozenset(range(7))
    opens: time = time()
    closes: time = time()
    first: date | None = None
    last: date | None = None

    def until(self, now: datetime) -> datetime | None:
        """When it ends that is open now; None while it is not. Windows that follow without a gap are one."""
        today = now.astimezone(self.zone).date()
        end: datetime | None = None
        day = today - _DAY
        # Yesterday's may last until now; from then on one day after the other as long as they touch.
        while day <= today + MOST_DAYS * _DAY and (end is not None or day <= today):
            begins, ends = self._on(day)
            if self._is_on(day) and begins <= (end or now) < ends:
                end = ends
            elif end is not None and begins > end:
                break
            day += _DAY
        return end

    def _is_on(self, day: date) -> bool:
        in_range = (self.first is None or self.first <= day) and (self.last is None or day <= self.last)
        return in_range and day.weekday() in self.days

    def _on(self, day: date) -> tuple[datetime, datetime]:
        """In UTC: the wall's clock jumps twice a year, and Python compares times of one zone by the wall."""
        next_day = day + _DAY if self.closes <= self.opens else day
        begins = datetime.combine(day, self.opens, self.zone)
        ends = datetime.combine(next_day, self.closes, self.zone)
        return _utc(begins), _utc(ends)


@dataclass(frozen=True)
class Membership:
    """What of a plan concerns one device."""

    classes: Mapping[str, tuple[str, ...]]
    """By the browser's id."""
    pools: tuple[Pool, ...]
    windows: tuple[Window, ...]


_NONE = Membership({}, (), ())


@dataclass(frozen=True)
class LabPlan:
    """A selector that gives an error for a device does not select it, and a device without a browser is in nothing.

    What was found of a device is kept until its facts change: a plan is asked about every device at every dispatch.
    """

    classes: tuple[DeviceClass, ...] = ()
    pools: tuple[Pool, ...] = ()
    windows: tuple[Window, ...] = ()
    _known: dict[str, tuple[DeviceRegistration, Mapping[str, DeviceProbe], Membership]] = field(
        default_factory=dict, compare=False, repr=False
    )
    _told: dict[str, tuple[datetime, datetime | None]] = field(default_factory=dict, compare=False, repr=False)

    def classes_of(self, device: DeviceRecord, browser: str | None = None) -> tuple[str, ...]:
        """Names of the classes that a device belongs to with this browser, or with at least one of its browsers."""
        found = self._membership(device).classes
        if browser is not None:
            return found.get(browser, ())
        names = {name for classes in found.values() for name in classes}
        return tuple(one.name for one in self.classes if one.name in names)

    def facts_of(self, device: DeviceRecord, browser: Browser) -> dict[str, Any]:
        """What a job's selector may speak of."""
        probe = device.probes.get(browser.id)
        return selectable_facts(device.registration, browser, probe, self.classes_of(device, browser.id))

    def pools_of(self, device: DeviceRecord) -> tuple[Pool, ...]:
        """The pools that it is in with at least one of its browsers."""
        return self._membership(device).pools

    def windows_of(self, device: DeviceRecord) -> tuple[Window, ...]:
        """The windows, open or not, in which it is left alone."""
        return self._membership(device).windows

    def maintenance(self, device: DeviceRecord, now: datetime) -> tuple[Window, datetime] | None:
        """Of the windows that are open for a device the one that ends last, with its end."""
        if not self.windows:
            return None
        # Windows begin and end with a second, so that all devices of a second are told the same.
        second = now.replace(microsecond=0)
        open_ones = [(window, self._until(window, second)) for window in self._membership(device).windows]
        return max(
            ((window, until) for window, until in open_ones if until is not None), key=lambda one: one[1], default=None
        )

    def _until(self, window: Window, second: datetime) -> datetime | None:
        found = self._told.get(window.name)
        if found is None or found[0] != second:
            found = self._told[window.name] = (second, window.until(second))
        return found[1]

    def _membership(self, device: DeviceRecord) -> Membership:
        if not (self.classes or self.pools or self.windows):
            return _NONE
        registration, probes = device.registration, device.probes
        known = self._known.get(registration.id)
        if known is not None and known[0] == registration and known[1] == probes:
            return known[2]
        found = self._find(registration, probes)
        self._known[registration.id] = (registration, probes, found)
        return found

    def _find(self, registration: DeviceRegistration, probes: Mapping[str, DeviceProbe]) -> Membership:
        classes: dict[str, tuple[str, ...]] = {}
        pools: set[str] = set()
        windows: set[str] = set()
        for browser in registration.facts.browsers:
            facts = as_context(selectable_facts(registration, browser, probes.get(browser.id)))
            classes[browser.id] = tuple(one.name for one in self.classes if _selects(one.selector, facts))
            facts.add_variable("classes", list(classes[browser.id]))
            pools |= {pool.name for pool in self.pools if _selects(pool.selector, facts)}
            windows |= {window.name for window in self.windows if _selects(window.selector, facts)}
        return Membership(
            classes,
            tuple(pool for pool in self.pools if pool.name in pools),
            tuple(window for window in self.windows if window.name in windows),
        )


def _selects(selector: Selector, facts: Facts) -> bool:
    try:
        return selector.matches(facts)
    except InvalidRequestError:
        return False


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
