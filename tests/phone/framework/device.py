"""Hardware and network: `dumpsys connectivity`, `wifi`, `SurfaceFlinger`, `display` and the smaller services."""

import os

from tests.phone.framework.registry import DUMPS, Call


@DUMPS.add("connectivity")
async def dump_connectivity(call: Call) -> None:
    if not call.phone.state.network:
        await call.say("NetworkProviders for:\n\nActive default network: none\n\nCurrent Networks:\n")
        return
    capabilities = "NOT_METERED&INTERNET&NOT_RESTRICTED&TRUSTED&NOT_VPN&VALIDATED&NOT_ROAMING&FOREGROUND"
    await call.say(
        "NetworkProviders for:\n\nActive default network: 100\n\nCurrent Networks:\n"
        "  NetworkAgentInfo{network{100}  handle{432902426637}  ni{WIFI CONNECTED extra: } created  everValidated  "
        "lastValidated  Score(60)  lp{{InterfaceName: wlan0 LinkAddresses: [ 192.168.1.23/24 ] }}  "
        f"nc{{[ Transports: WIFI Capabilities: {capabilities} LinkUpBandwidth>=65000Kbps SignalStrength: -51]}}}}\n"
    )


@DUMPS.add("wifi")
async def dump_wifi(call: Call) -> None:
    state = call.phone.state
    enabled = state.settings.get(("global", "wifi_on")) == "1"
    info = 'SSID: "lab", BSSID: 02:00:00:00:00:00, Supplicant state: COMPLETED, RSSI: -51, Link speed: 433Mbps'
    if not state.network:
        info = "SSID: <unknown ssid>, BSSID: <none>, Supplicant state: DISCONNECTED, RSSI: -127, Link speed: -1Mbps"
    await call.say(
        f"Wi-Fi is {'enabled' if enabled else 'disabled'}\nVerbose logging is off\nStay-awake conditions: 0\n"
        f"mInIdleMode false\nmScanPending false\nmWifiInfo {info}, Frequency: 5180MHz\n"
    )


@DUMPS.add("SurfaceFlinger")
async def dump_surface_flinger(call: Call) -> None:
    profile = call.phone.profile
    await call.say(
        "Build configuration: [sf PRESENT_TIME_OFFSET=0]\n\nDisplay identification data:\n"
        f'Display 0 (HWC display 0): port=0 pnpId=SIM displayName="{profile.device}"\n\n'
        "RenderEngine supports protected context: 0\n"
        f"GLES: {profile.graphics}\n\n"
        f"Display 0 (active) HWC layers:\n  resolution={profile.width}x{profile.height} refresh-rate=60.000000\n"
    )


@DUMPS.add("display")
async def dump_display(call: Call) -> None:
    state, profile = call.phone.state, call.phone.profile
    level = state.settings.get(("system", "screen_brightness"), "102")
    await call.say(
        "DISPLAY MANAGER (dumpsys display)\n  mOnlyCore=false\n"
        f"  mGlobalDisplayState={'ON' if state.screen_on else 'OFF'}\n"
        f"  mScreenState={'ON' if state.screen_on else 'OFF'}\n  mScreenBrightness={level}\n"
        f'  mBaseDisplayInfo=DisplayInfo{{"Built-in Screen", real {profile.width} x {profile.height}, density '
        f"{profile.density} ({profile.density}.0 x {profile.density}.0) dpi, 60.0 fps}}\n"
    )


@DUMPS.add("input_method")
async def dump_input_method(call: Call) -> None:
    await call.say("Current Input Method Manager state:\n  mInputShown=false\n  mIsInputViewShown=false\n")


@DUMPS.add("notification")
async def dump_notification(call: Call) -> None:
    mode = int(call.phone.state.settings.get(("global", "zen_mode"), "0"))
    names = ("ZEN_MODE_OFF", "ZEN_MODE_IMPORTANT_INTERRUPTIONS", "ZEN_MODE_NO_INTERRUPTIONS", "ZEN_MODE_ALARMS")
    await call.say(
        f"Current Notification Manager state:\n  Zen Mode:\n    mInterruptionFilter={mode}\n    {names[mode]}\n"
    )


@DUMPS.add("deviceidle")
async def dump_device_idle(call: Call) -> None:
    """`whitelist [+PACKAGE|-PACKAGE …]`: apps that may work while the phone sleeps."""
    if call.word(0) != "whitelist":
        call.unknown()
        return
    awake = call.phone.state.stay_awake_apps
    if len(call.words) == 1:
        await call.say("system,com.android.shell,2000\n")
        await call.say("".join(f"user,{package},10150\n" for package in sorted(awake)))
    for word in call.words[1:]:
        package = word[1:]
        if word.startswith("+"):
            if package not in call.phone.state.packages:
                await call.say(f"Unknown package: {package}\n")
                continue
            awake.add(package)
            await call.say(f"Added: {package}\n")
        elif package in awake:
            awake.discard(package)
            await call.say(f"Removed: {package}\n")


@DUMPS.add("diskstats")
async def dump_disk_statistics(call: Call) -> None:
    found = call.phone.machine.locate("/data")
    free = os.statvfs(found)
    total = free.f_blocks * free.f_frsize // 1024
    left = free.f_bavail * free.f_frsize // 1024
    await call.say(f"Data-Free: {left}K / {total}K total = {left * 100 // max(1, total)}% free\n")
