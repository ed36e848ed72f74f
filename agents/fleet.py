"""The devices of a lab host as they come and go: what runs on the host itself, and the phones plugged into it."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from agents.browsers.discovery import BrowserUnusableError
from agents.devices.adb import AdbSettings, find_adb
from agents.devices.android import AndroidDevice
from agents.devices.declared import discover_devices
from agents.devices.protocol import Device
from agents.faults import AgentError
from agents.phones import Phones, Stranger, open_phone
from agents.settings import AgentSettings
from agents.worker_link import PhoneAddress
from orchestrator.contract.device import DeviceRegistration

_LOOK_AGAIN_SECONDS: Final = 120.0
"""How often an idle device's facts are read anew: browsers update themselves."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Member:
    """A device of this host."""

    registration: DeviceRegistration
    phone: PhoneAddress | None = None
    """None for a device whose browsers run on this host."""
    absence: str = ""
    """Why it is not there just now and what to do, in a sentence; empty when it is there."""


@dataclass(frozen=True)
class Roll:
    """All that is known of a host's devices at one moment."""

    members: Sequence[Member] = ()
    strangers: Sequence[Stranger] = field(default=())
    """Phones that could not be opened so far."""


class Fleet(Protocol):
    """Which devices there are. `roll` waits for nothing."""

    def start(self, on_change: Callable[[], None], is_idle: Callable[[str], bool]) -> None:
        """`on_change` is called from other threads. Raises `AgentError` when this host can never have a device."""

    def roll(self) -> Roll: ...

    def stop(self) -> None:
        """Ends what was started; takes a few seconds at most."""


class HostFleet:
    """The devices of this very host."""

    def __init__(self, settings: AgentSettings, agent_id: str, notice: Callable[[str], None] = _log.warning) -> None:
        self._settings = settings
        self._agent_id = agent_id
        self._notice = notice
        self._desktops: list[Member] = []
        self._phones: Phones | None = None
        self._stopping = threading.Event()

    def start(self, on_change: Callable[[], None], is_idle: Callable[[str], bool]) -> None:
        adb = find_adb() if self._settings.phones else None
        self._desktops = self._open_desktops(adb, self._notice)
        if adb is not None:
            self._phones = Phones(adb, self._open_phone, on_change=on_change, is_idle=is_idle)
            self._phones.start()
        threading.Thread(target=self._look_again, args=(on_change, is_idle), name="facts", daemon=True).start()

    def roll(self) -> Roll:
        if self._phones is None:
            return Roll(self._desktops)
        phones = self._phones.known()
        members = [Member(phone.registration, phone.address, phone.absence) for phone in phones]
        return Roll([*self._desktops, *members], self._phones.strangers())

    @property
    def settled(self) -> bool:
        """Whatever is there now has been looked at."""
        return self._phones is None or self._phones.settled

    def open(self, member: Member) -> Device:
        """The device itself; raises `AgentError`."""
        if member.phone is not None:
            return self._open_phone(member.phone)
        settings = self._settings
        found = discover_devices(
            settings.devices, agent_id=self._agent_id, chrome=settings.chrome, data=settings.data, notice=_log.debug
        )
        return next(device for device in found if device.registration.id == member.registration.id)

    def stop(self) -> None:
        self._stopping.set()
        if self._phones is not None:
            self._phones.stop()

    def _open_phone(self, address: PhoneAddress) -> AndroidDevice:
        settings = self._settings
        return open_phone(address, data=settings.data, appium_home=settings.appium_home, declaration=settings.devices)

    def _open_desktops(self, adb: AdbSettings | None, notice: Callable[[str], None]) -> list[Member]:
        settings = self._settings
        try:
            found = discover_devices(
                settings.devices, agent_id=self._agent_id, chrome=settings.chrome, data=settings.data, notice=notice
            )
        except BrowserUnusableError as error:
            # A host may be there for its phones alone, unless somebody has said otherwise.
            if adb is None or settings.devices is not None or settings.chrome is not None:
                raise
            notice(f"This machine itself takes no part: {error}")
            return []
        if not found and adb is None:
            raise AgentError("this host has no device to register")
        return [Member(device.registration) for device in found]

    def _look_again(self, on_change: Callable[[], None], is_idle: Callable[[str], bool]) -> None:
        while not self._stopping.wait(_LOOK_AGAIN_SECONDS):
            # They share the machine: asking one would disturb the others.
            if not all(is_idle(member.registration.id) for member in self._desktops):
                continue
            try:
                found = self._open_desktops(None, _log.debug)
            except AgentError as error:
                _log.warning("this machine's browsers cannot be used any more: %s", error)
                self._desktops = [Member(member.registration, member.phone, str(error)) for member in self._desktops]
            else:
                if found == self._desktops:
                    continue
                self._desktops = found
            on_change()
