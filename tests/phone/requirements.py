"""What a simulated phone needs of the computer it runs on."""

import os
import shutil
import sys
from pathlib import Path

from tests.phone.appium import AppiumMissingError, appium_home
from tests.phone.group import find_hierarchies

_PROGRAMS = (
    "aapt",
    "adb",
    "chromedriver",
    "ip",
    "mkfs.ext4",
    "mksh",
    "nsenter",
    "setpriv",
    "toybox",
    "unshare",
)
_SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


def missing_for_phones() -> str | None:
    """Why no phone can be simulated here, in a sentence; None when one can."""
    if not sys.platform.startswith("linux"):
        return "Simulated phones need Linux."
    if os.geteuid() != 0:
        return "Simulated phones make namespaces, mounts and cgroups, which takes root."
    path = f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}"
    absent = [program for program in _PROGRAMS if shutil.which(program, path=path) is None]
    if absent:
        return f"Simulated phones need {', '.join(absent)}: run deploy/setup/android.sh."
    if find_hierarchies(Path("/proc/mounts").read_text()) is None:
        return "Simulated phones need memory and CPU cgroups that this process may use."
    if not Path("/dev/loop-control").exists():
        return "Simulated phones need loop devices for their storage."
    return None


def missing_for_appium() -> str | None:
    """Why Appium cannot be run here, in a sentence; None when it can."""
    try:
        appium_home()
    except AppiumMissingError as error:
        return str(error)
    absent = [program for program in ("java", "zipalign", "apksigner") if shutil.which(program) is None]
    return f"Appium needs {', '.join(absent)}: run deploy/setup/android.sh." if absent else None
