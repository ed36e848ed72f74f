"""Which mechanism of this host can make a smaller device of it."""

import os
from collections.abc import Callable
from pathlib import Path

from agents.devices.cgroup_v1 import find_v1
from agents.devices.cgroup_v2 import find_v2
from agents.devices.limits import LimitDriver, LimitError, Limits, remove_group
from agents.devices.systemd_scope import find_scope


def find_limit_driver() -> LimitDriver | None:
    """The first mechanism that works here, tried for real; None where a browser cannot be held within limits."""
    finders: tuple[Callable[[], LimitDriver | None], ...] = (_find_v1, _find_v2, find_scope)
    for find in finders:
        driver = find()
        if driver is not None and _works(driver):
            return driver
    return None


def _works(driver: LimitDriver) -> bool:
    group = driver.plan(f"trial-{os.getpid()}", Limits(memory_bytes=2**30, cpu_quota=1))
    try:
        group.make()
    except LimitError:
        return False
    finally:
        problems = remove_group(group.record)
    return not problems


def _find_v1() -> LimitDriver | None:
    return find_v1(_read_mounts())


def _find_v2() -> LimitDriver | None:
    return find_v2(_read_mounts())


def _read_mounts() -> str:
    """What is mounted where; empty on systems that do not say."""
    try:
        return Path("/proc/mounts").read_text()
    except OSError:
        return ""
