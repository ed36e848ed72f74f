"""Which phone is simulated: what it says of itself, and the limits that hold it to that."""

from dataclasses import dataclass

GIB = 1 << 30
MIB = 1 << 20

CHROME = "com.android.chrome"
WEBVIEW = "com.google.android.webview"
WEBVIEW_HOST = "dev.fitmatrix.webviewhost"
LAUNCHER = "com.android.launcher3"


@dataclass(frozen=True)
class Profile:
    """A phone as its maker describes it."""

    name: str
    model: str
    device: str
    android: str
    sdk: int
    build: str
    memory_bytes: int
    cpu_quota: float | None
    """In CPUs of the computer; None without a limit."""
    cores: int
    cpu_parts: tuple[str, ...]
    """ARM's part number of each core."""
    abis: tuple[str, ...]
    platform: str
    hardware: str
    graphics: str
    """What SurfaceFlinger says after `GLES: `."""
    width: int
    height: int
    density: int
    storage_bytes: int
    battery_uah: int

    @property
    def scale(self) -> float:
        """Device pixels per CSS pixel."""
        return self.density / 160

    @property
    def fingerprint(self) -> str:
        return f"sim/{self.device}/{self.device}:{self.android}/{self.build}/1:user/release-keys"

    def properties(self, serial: str) -> dict[str, str]:
        """What `getprop` lists after a boot."""
        return {
            "dalvik.vm.heapsize": "256m" if self.memory_bytes < 3 * GIB else "512m",
            "dev.bootcomplete": "1",
            "gsm.sim.state": "ABSENT",
            "init.svc.adbd": "running",
            "init.svc.bootanim": "stopped",
            "persist.sys.locale": "en-US",
            "persist.sys.timezone": "Etc/UTC",
            "ro.adb.secure": "1",
            "ro.board.platform": self.platform,
            "ro.boot.qemu": "1",
            "ro.bootimage.build.fingerprint": self.fingerprint,
            "ro.build.characteristics": "default",
            "ro.build.fingerprint": self.fingerprint,
            "ro.build.id": self.build,
            "ro.build.type": "user",
            "ro.build.version.codename": "REL",
            "ro.build.version.incremental": "1",
            "ro.build.version.release": self.android,
            "ro.build.version.sdk": str(self.sdk),
            "ro.build.version.security_patch": "2024-03-05",
            "ro.config.low_ram": "true" if self.memory_bytes <= 2 * GIB else "false",
            "ro.debuggable": "0",
            "ro.hardware": self.hardware,
            "ro.kernel.qemu": "1",
            "ro.product.board": self.device,
            "ro.product.brand": "sim",
            "ro.product.cpu.abi": self.abis[0],
            "ro.product.cpu.abilist": ",".join(self.abis),
            "ro.product.device": self.device,
            "ro.product.locale": "en-US",
            "ro.product.manufacturer": "Sim",
            "ro.product.model": self.model,
            "ro.product.name": self.device,
            "ro.secure": "1",
            "ro.serialno": serial,
            "ro.sf.lcd_density": str(self.density),
            "ro.soc.model": self.hardware.upper(),
            "sys.boot_completed": "1",
            "sys.usb.config": "adb",
        }

    def cpuinfo(self) -> str:
        """`/proc/cpuinfo` as a 64-bit ARM kernel writes it."""
        features = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
        cores = [
            f"processor\t: {number}\nBogoMIPS\t: 26.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\n"
            f"CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {part}\nCPU revision\t: 4\n"
            for number, part in enumerate(self.cpu_parts)
        ]
        return "\n".join(cores) + f"\nHardware\t: {self.hardware.upper()}\n"


_A53, _A55, _A78, _X3 = "0xd03", "0xd05", "0xd41", "0xd4e"

LOW_END = Profile(
    name="low-end",
    model="SimPhone Go",
    device="simphone_go",
    android="10",
    sdk=29,
    build="QP1A.190711.020",
    memory_bytes=2 * GIB,
    cpu_quota=1.0,
    cores=4,
    cpu_parts=(_A53,) * 4,
    abis=("armeabi-v7a", "armeabi"),
    platform="mt6739",
    hardware="mt6739",
    graphics="Imagination Technologies, PowerVR Rogue GE8100, OpenGL ES 3.2 build 1.11@5425693",
    width=720,
    height=1600,
    density=280,
    storage_bytes=12 * GIB,
    battery_uah=3_000_000,
)
HIGH_END = Profile(
    name="high-end",
    model="SimPhone Pro",
    device="simphone_pro",
    android="14",
    sdk=34,
    build="UP1A.231005.007",
    memory_bytes=8 * GIB,
    cpu_quota=None,
    cores=8,
    cpu_parts=(_A55,) * 3 + (_A78,) * 4 + (_X3,),
    abis=("arm64-v8a", "armeabi-v7a", "armeabi"),
    platform="kalama",
    hardware="sm8550",
    graphics="Qualcomm, Adreno (TM) 740, OpenGL ES 3.2 V@0676.42 (GIT@6e5ac5d8a4, I30cd39e9d1, 1695909105)",
    width=1080,
    height=2400,
    density=420,
    storage_bytes=100 * GIB,
    battery_uah=5_000_000,
)
PROFILES = {profile.name: profile for profile in (LOW_END, HIGH_END)}
