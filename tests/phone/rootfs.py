"""The phone's file system as it lies on the computer: the tree that is mounted as the phone's root.

Programs come from the computer's /usr (toybox and mksh are what Android has, too); `/data` is an ext4 image, so that a
full phone is really full.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.phone.profiles import GIB, Profile

_DIRECTORIES = [
    "usr",
    "proc",
    "dev/socket",
    "system/bin",
    "data",
    "storage/emulated/0/Download",
    "tmp",
    "etc",
    "sys/class/thermal/thermal_zone0",
    "sys/class/power_supply/battery",
    "sys/devices/system/cpu",
]
_LINKS = {
    "bin": "usr/bin",
    "lib": "usr/lib",
    "lib64": "usr/lib64",
    "sdcard": "storage/emulated/0",
    "vendor": "system",
}
_DEVICES = ("null", "urandom", "zero", "tty")
_FRAMEWORK_SCRIPT = Path(__file__).with_name("framework_command.py")
DATA_DIRECTORIES = ("local/tmp", "app", "data", "anr", "media")


@dataclass(frozen=True)
class Rootfs:
    """A directory with `root` (the tree), `facts` (files mounted over the kernel's) and `data.img`."""

    directory: Path
    profile: Profile

    @property
    def root(self) -> Path:
        return self.directory / "root"

    @property
    def image(self) -> Path:
        return self.directory / "data.img"

    def fact(self, name: str) -> Path:
        """A file that is mounted over one of the kernel's."""
        return self.directory / "facts" / name

    def make(self, framework_commands: list[str]) -> None:
        """Lay the tree out anew; `/data` is kept where there is one, as a phone keeps it over a reboot."""
        for name in _DIRECTORIES:
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for name, target in _LINKS.items():
            link = self.root / name
            if not link.is_symlink():
                link.symlink_to(target)
        for name in _DEVICES:
            (self.root / "dev" / name).touch()
        (self.directory / "facts").mkdir(exist_ok=True)
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 ip6-localhost\n", encoding="utf-8")
        present = self.root / "sys/devices/system/cpu"
        for name in ("present", "possible", "online"):
            (present / name).write_text(f"0-{self.profile.cores - 1}\n", encoding="utf-8")
        self._make_commands(framework_commands)
        self.fact("cpuinfo").write_text(self.profile.cpuinfo(), encoding="utf-8")
        if not self.image.exists():
            self._make_image()

    def write_meminfo(self, used_bytes: int) -> None:
        """`/proc/meminfo` of the profile; written in place, since it is mounted."""
        total = self.profile.memory_bytes
        available = max(0, total - used_bytes)
        figures = {
            "MemTotal": total,
            "MemFree": available * 7 // 10,
            "MemAvailable": available,
            "Buffers": total // 512,
            "Cached": available // 4,
            "SwapCached": 0,
            "Active": used_bytes // 2,
            "Inactive": used_bytes // 3,
            "SwapTotal": 0,
            "SwapFree": 0,
            "Shmem": total // 1024,
            "Slab": total // 64,
        }
        text = "".join(f"{name + ':':<16}{value // 1024:>8} kB\n" for name, value in figures.items())
        self.fact("meminfo").write_text(text, encoding="utf-8")

    def write_temperature(self, tenths_c: int) -> None:
        """The kernel's own view of the battery's heat."""
        zone = self.root / "sys/class/thermal/thermal_zone0"
        (zone / "type").write_text("battery\n", encoding="utf-8")
        (zone / "temp").write_text(f"{tenths_c * 100}\n", encoding="utf-8")

    def _make_commands(self, framework_commands: list[str]) -> None:
        commands = self.root / "system/bin"
        listed = subprocess.run(["toybox"], capture_output=True, text=True, check=True).stdout.split()
        links = {name: "/usr/bin/toybox" for name in listed if "/" not in name} | {"sh": "/usr/bin/mksh"}
        for name, target in links.items():
            link = commands / name
            if not os.path.lexists(link):
                link.symlink_to(target)
        script = _FRAMEWORK_SCRIPT.read_text(encoding="utf-8")
        for name in framework_commands:
            file = commands / name
            file.unlink(missing_ok=True)
            file.write_text(script, encoding="utf-8")
            file.chmod(0o755)

    def _make_image(self) -> None:
        """A sparse file; no journal and few inodes, since it lives no longer than a test."""
        with self.image.open("wb") as file:
            file.truncate(self.profile.storage_bytes)
        inodes = str(max(65536, self.profile.storage_bytes // GIB * 4096))
        options = ["-q", "-F", "-m", "0", "-N", inodes, "-O", "^has_journal", "-E", "nodiscard,lazy_itable_init=1"]
        command = [*options, "-L", "data", str(self.image)]
        subprocess.run(["/sbin/mkfs.ext4", *command], check=True, capture_output=True)
