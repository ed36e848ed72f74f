"""The phones of a lab host: noticed at once, opened each in a thread of its own, known for good."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from agents.browsers.appium_home import is_installed
from agents.devices.adb import AdbSettings, explain_state
from agents.devices.adb_watch import AdbState, AdbWatch
from agents.devices.android import AndroidDevice, open_android
from agents.devices.declared import PhonesDeclaration, read_devices_file
from agents.faults import AgentError
from agents.worker_link import PhoneAddress
from orchestrator.contract.device import DeviceRegistration

_AGAIN_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""From one try to open a phone to the next."""
_REREAD_SECONDS: Final = 120.0
"""How often an idle phone's facts are read anew: browsers update themselves."""

_OPENING: Final = "It is being opened."

_log = logging.getLogger(__name__)


class OpenedPhone(Protocol):
    @property
    def registration(self) -> DeviceRegistration: ...
    @property
    def notices(self) -> Sequence[str]: ...


OpenPhone = Callable[[PhoneAddress], OpenedPhone]
"""Raises `AgentError`; every question it asks is bounded in time."""


def open_phone(
    address: PhoneAddress, *, data: Path, appium_home: Path, declaration: Path | None = None
) -> AndroidDevice:
    """The phone at an address, as the devices file `declaration` wants phones; without browsers while Appium is not
    installed."""
    usable = appium_home if is_installed(appium_home) else None
    declared = PhonesDeclaration() if declaration is None else read_devices_file(declaration).phones
    return open_android(
        address.serial,
        AdbSettings(address.adb, address.adb_port),
        data=data,
        appium_home=usable,
        gates=declared.gates,
        flags=tuple(declared.chrome_flags),
    )


@dataclass(frozen=True)
class KnownPhone:
    """A phone whose facts are known."""

    registration: DeviceRegistration
    address: PhoneAddress
    absence: str
    """Why it is not there just now and what to do; empty when it is there."""


@dataclass(frozen=True)
class Stranger:
    """A phone that adb sees and nobody could open so far."""

    serial: str
    state: str
    explanation: str


@dataclass
class _Entry:
    address: PhoneAddress
    state: str = ""
    explanation: str = ""
    registration: DeviceRegistration | None = None
    problem: str = _OPENING
    plugged: int = 0
    """How often it came: what was begun before is about an earlier time."""
    opening: bool = False


class Phones:
    """Follows adb from `start` to `stop`."""

    def __init__(
        self,
        adb: AdbSettings,
        open_phone: OpenPhone,
        *,
        on_change: Callable[[], None],
        is_idle: Callable[[str], bool],
    ) -> None:
        self._adb = adb
        self._open_phone = open_phone
        self._on_change = on_change
        self._is_idle = is_idle
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._stopping = threading.Event()
        self._heard = False
        self._watch = AdbWatch(adb, self._on_states)

    def start(self) -> None:
        self._watch.start()
        threading.Thread(target=self._reread, name="phone-facts", daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        self._watch.stop()

    @property
    def settled(self) -> bool:
        """Every phone that is there has been opened, or has refused to be."""
        with self._lock:
            waiting = [one for one in self._entries.values() if one.registration is None and one.state == "device"]
            return self._heard and all(entry.problem != _OPENING for entry in waiting)

    def known(self) -> list[KnownPhone]:
        """One for each phone, however many ways lead to it: one that works, and a cable before the air."""
        found: dict[str, KnownPhone] = {}
        with self._lock:
            for entry in sorted(self._entries.values(), key=lambda one: (one.state != "device", ":" in _serial(one))):
                if entry.registration is not None and entry.registration.id not in found:
                    absence = "" if entry.state == "device" else entry.explanation
                    found[entry.registration.id] = KnownPhone(entry.registration, entry.address, absence)
        return sorted(found.values(), key=lambda phone: phone.registration.id)

    def strangers(self) -> list[Stranger]:
        with self._lock:
            return [
                Stranger(serial, entry.state, entry.explanation or entry.problem)
                for serial, entry in sorted(self._entries.items())
                if entry.registration is None
            ]

    def _on_states(self, states: dict[str, AdbState]) -> None:
        """Runs in adb's thread: nothing here waits for a phone."""
        with self._lock:
            self._heard = True
            for serial, told in states.items():
                address = PhoneAddress(serial=serial, adb=self._adb.binary, adb_port=self._adb.port)
                entry = self._entries.setdefault(serial, _Entry(address))
                came = told.state == "device" and not told.explanation and entry.state != "device"
                if told.explanation and told.explanation != entry.explanation:
                    _log.warning("phone %s", told.explanation)
                entry.state, entry.explanation = told.state, told.explanation
                if came:
                    entry.plugged += 1
                    self._begin_to_open(serial, entry)
            for serial in self._entries.keys() - states.keys():
                self._lose(serial, self._entries[serial])
        self._on_change()

    def _lose(self, serial: str, entry: _Entry) -> None:
        if entry.registration is None:
            del self._entries[serial]
        elif entry.state != "gone":
            entry.state, entry.explanation = "gone", explain_state(serial, "gone")
            _log.warning("phone %s", entry.explanation)

    def _begin_to_open(self, serial: str, entry: _Entry) -> None:
        entry.opening = True
        name, arguments = f"open-{serial}", (entry, entry.plugged)
        threading.Thread(target=self._open, args=arguments, name=name, daemon=True).start()

    def _open(self, entry: _Entry, plugged: int) -> None:
        """Tries until the phone is open, or gone."""
        serial, tries = _serial(entry), 0
        while True:
            try:
                opened = self._open_phone(entry.address)
                problem = ""
            except AgentError as error:
                problem = str(error)
            except Exception as error:  # noqa: BLE001 - whatever is odd about one phone, it is tried again
                problem = f"it could not be opened: {error!r}"
            with self._lock:
                if entry.plugged != plugged or self._stopping.is_set():
                    return
                if entry.state != "device":
                    entry.opening = False
                    return
                if not problem:
                    self._keep(entry, opened)
                elif problem != entry.problem:
                    entry.problem = problem
                    _log.warning("phone %s cannot be used yet: %s", serial, problem)
            self._on_change()
            if not problem or self._stopping.wait(_AGAIN_SECONDS[min(tries, len(_AGAIN_SECONDS) - 1)]):
                return
            tries += 1

    def _keep(self, entry: _Entry, opened: OpenedPhone) -> None:
        before, now = entry.registration, opened.registration
        entry.registration, entry.problem, entry.opening = now, "", False
        if before == now:
            return
        browsers = ", ".join(f"{browser.id} {browser.version}" for browser in now.facts.browsers) or "no browser"
        if before is None:
            _log.info("phone %s is %s, %s", _serial(entry), now.name, browsers)
        else:
            _log.warning("phone %s has changed: %s", _serial(entry), browsers)
        for notice in opened.notices:
            _log.warning("%s", notice)

    def _reread(self) -> None:
        while not self._stopping.wait(_REREAD_SECONDS):
            with self._lock:
                for serial, entry in self._entries.items():
                    known = entry.registration
                    if known and entry.state == "device" and not entry.opening and self._is_idle(known.id):
                        self._begin_to_open(serial, entry)


def _serial(entry: _Entry) -> str:
    return entry.address.serial
