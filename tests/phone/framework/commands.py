"""Every topic of commands: importing them fills the tables."""

from tests.phone.framework import activity, apps, device, dumpsys, logs, packages, power, settings, system
from tests.phone.framework.registry import DUMPS, SHELL_COMMANDS

__all__ = ["DUMPS", "SHELL_COMMANDS"]

TOPICS = (activity, apps, device, dumpsys, logs, packages, power, settings, system)
