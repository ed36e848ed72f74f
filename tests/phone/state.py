"""What a phone believes about itself, apart from its processes and files."""

import time
from dataclasses import dataclass, field

from tests.phone.profiles import CHROME, LAUNCHER, WEBVIEW, WEBVIEW_HOST, Profile

_SETTINGS = {
    ("global", "airplane_mode_on"): "0",
    ("global", "animator_duration_scale"): "1.0",
    ("global", "device_name"): "SimPhone",
    ("global", "stay_on_while_plugged_in"): "0",
    ("global", "transition_animation_scale"): "1.0",
    ("global", "wifi_on"): "1",
    ("global", "window_animation_scale"): "1.0",
    ("global", "zen_mode"): "0",
    ("secure", "android_id"): "5f1d3a7c2b9e4d60",
    ("secure", "default_input_method"): "com.android.inputmethod.latin/.LatinIME",
    ("system", "accelerometer_rotation"): "1",
    ("system", "screen_brightness"): "102",
    ("system", "screen_brightness_mode"): "1",
    ("system", "screen_off_timeout"): "30000",
    ("system", "user_rotation"): "0",
}


@dataclass
class Battery:
    """As `dumpsys battery` counts: percent, tenths of a degree, millivolts."""

    level: int = 83
    temperature_tenths_c: int = 287
    voltage_mv: int = 4123
    charging: bool = True
    """Whether the cable gives power."""
    told_unplugged: bool = False
    """By `dumpsys battery unplug`, until `dumpsys battery reset`."""

    @property
    def powered(self) -> bool:
        """Whether the framework believes in power from the cable."""
        return self.charging and not self.told_unplugged

    @property
    def status(self) -> int:
        """BatteryManager's: 2 charging, 3 discharging, 5 full."""
        if not self.powered:
            return 3
        return 5 if self.level >= 100 else 2


@dataclass
class BatteryStatistics:
    """Time on battery since the last reset, by the phone's clock; batterystats counts nothing while on power."""

    reset_at: float
    seconds: float = 0.0
    _on_battery_since: float | None = None

    def note(self, now: float, powered: bool) -> None:
        """Bring the count up to date; call before and after the power changes."""
        if self._on_battery_since is not None:
            self.seconds += now - self._on_battery_since
        self._on_battery_since = None if powered else now

    def reset(self, now: float, powered: bool) -> None:
        self.reset_at, self.seconds, self._on_battery_since = now, 0.0, None if powered else now


@dataclass(frozen=True)
class Package:
    """An installed application."""

    name: str
    version: str
    version_code: int = 1
    debuggable: bool = False
    system: bool = False
    activity: str | None = None
    """Of the launcher's intent."""
    target_sdk: int = 34


@dataclass
class PhoneState:
    """Everything that a command can change and a test can look at."""

    profile: Profile
    properties: dict[str, str]
    packages: dict[str, Package]
    settings: dict[tuple[str, str], str] = field(default_factory=lambda: dict(_SETTINGS))
    battery: Battery = field(default_factory=Battery)
    thermal_status: int = 0
    network: bool = True
    screen_on: bool = True
    locked: bool = False
    foreground: str = LAUNCHER
    debug_app: str | None = None
    stay_awake_apps: set[str] = field(default_factory=set)
    clock_offset_s: float = 0.0
    permissions: dict[str, set[str]] = field(default_factory=dict)
    battery_statistics: BatteryStatistics = field(default_factory=lambda: BatteryStatistics(time.time()))


def chrome_package(version: str) -> Package:
    """Chrome as its maker numbers it: the build number makes the version code."""
    return Package(CHROME, version, _version_code(version), system=True, activity="com.google.android.apps.chrome.Main")


def host_package() -> Package:
    """The WebView host as if its APK were installed."""
    return Package(WEBVIEW_HOST, "1.0", 1, debuggable=True, activity=".MainActivity", target_sdk=29)


def system_packages(profile: Profile, chrome: str | None, webview: str | None) -> dict[str, Package]:
    """What the phone was delivered with."""
    packages = [
        Package("android", profile.android, profile.sdk, system=True),
        Package("com.android.shell", profile.android, profile.sdk, system=True),
        Package("com.android.settings", profile.android, profile.sdk, system=True, activity=".Settings"),
        Package("com.android.systemui", profile.android, profile.sdk, system=True),
        Package("com.android.inputmethod.latin", profile.android, profile.sdk, system=True),
        Package(LAUNCHER, profile.android, profile.sdk, system=True, activity=".Launcher"),
    ]
    if chrome is not None:
        packages.append(chrome_package(chrome))
    if webview is not None:
        packages.append(Package(WEBVIEW, webview, _version_code(webview), system=True))
    return {package.name: package for package in packages}


def _version_code(version: str) -> int:
    parts = [int(part) for part in version.split(".") if part.isdigit()]
    build, patch = [*parts, 0, 0, 0, 0][2:4]
    return build * 100_000 + patch * 100 + 33
