"""Battery, heat and power: `dumpsys battery`, `batterystats`, `thermalservice`, `power`."""

from tests.phone.framework.registry import DUMPS, Call

_DRAIN_MA = 180.0
"""What the phone takes on battery, an assumption like the battery itself; most of it is the app in front."""
_APP_SHARE = 0.6
_SKIN_COOLER_C = 1.5
_THROTTLE_C = (39.0, 41.0, 43.0, 45.0, 48.0, 52.0)


@DUMPS.add("battery")
async def dump_battery(call: Call) -> int | None:
    phone, battery = call.phone, call.phone.state.battery
    statistics = phone.state.battery_statistics
    match [word for word in call.words if word != "-f"]:
        case []:
            await call.say(_battery(call))
            return None
        case ["unplug"]:
            battery.told_unplugged = True
        case ["reset"]:
            battery.told_unplugged = False
        case ["set", "level", value]:
            battery.level = int(value)
        case ["set", "temp", value]:
            battery.temperature_tenths_c = int(value)
        case ["set", "ac" | "usb" | "wireless", value]:
            battery.told_unplugged = value == "0"
        case _:
            call.unknown()
            await call.say("Unknown command: " + call.word(0) + "\n")
            return 255
    statistics.note(phone.now(), battery.powered)
    return None


def _battery(call: Call) -> str:
    battery, profile = call.phone.state.battery, call.phone.profile
    stopped = "  (UPDATES STOPPED -- use 'reset' to restart)\n" if battery.told_unplugged else ""
    health = 7 if battery.temperature_tenths_c < 0 else 2
    charge = profile.battery_uah * battery.level // 100
    return (
        f"Current Battery Service state:\n{stopped}  AC powered: false\n  USB powered: {str(battery.powered).lower()}\n"
        "  Wireless powered: false\n  Max charging current: 500000\n  Max charging voltage: 5000000\n"
        f"  Charge counter: {charge}\n  status: {battery.status}\n  health: {health}\n"
        f"  present: true\n  level: {battery.level}\n  scale: 100\n  voltage: {battery.voltage_mv}\n"
        f"  temperature: {battery.temperature_tenths_c}\n  technology: Li-ion\n"
    )


@DUMPS.add("batterystats")
async def dump_battery_statistics(call: Call) -> int | None:
    """`--reset`, `--checkin`, `--charged`; other forms are answered like `--charged`."""
    phone = call.phone
    statistics = phone.state.battery_statistics
    if "--reset" in call.words:
        statistics.reset(phone.now(), phone.state.battery.powered)
        await call.say("Battery stats and history reset.\n")
        return None
    statistics.note(phone.now(), phone.state.battery.powered)
    await call.say(_checkin(call) if "--checkin" in call.words or "-c" in call.words else _readable(call))
    return None


def _checkin(call: Call) -> str:
    """Source: AOSP, BatteryStats.dumpCheckinLocked."""
    phone, profile = call.phone, call.phone.profile
    statistics = phone.state.battery_statistics
    on_battery_ms = round(statistics.seconds * 1000)
    whole_ms = round((phone.now() - statistics.reset_at) * 1000)
    used, app = _drained_mah(call)
    capacity = profile.battery_uah // 1000
    uid = _front_uid(call)
    percent = round(used * 100 / capacity)
    started_ms = round(statistics.reset_at * 1000)
    times = f"{on_battery_ms},{on_battery_ms},{whole_ms},{whole_ms},{started_ms},0,0"
    return (
        f"9,0,i,vers,32,186,{profile.build},{profile.build}\n9,0,i,uid,{uid},{phone.state.foreground}\n"
        f"9,0,l,bt,0,{times},{capacity},{profile.battery_uah},{profile.battery_uah},0\n"
        f"9,0,l,dc,{percent},{percent},{percent},0,{round(used)},0,0,0,0\n"
        f"9,0,l,pws,{capacity},{used:.5g},{used:.5g},{used:.5g}\n"
        f"9,{uid},l,pwi,uid,{app:.5g},0,0,0\n9,0,l,pwi,scrn,{used - app:.5g},0,0,0\n"
    )


def _readable(call: Call) -> str:
    phone, profile = call.phone, call.phone.profile
    statistics = phone.state.battery_statistics
    used, app = _drained_mah(call)
    whole = phone.now() - statistics.reset_at
    uid = _front_uid(call)
    name = f"u0a{uid - 10_000}" if uid >= 10_000 else str(uid)
    return (
        f"Statistics since last charge:\n  System starts: 0, currently on battery: "
        f"{str(not phone.state.battery.powered).lower()}\n"
        f"  Estimated battery capacity: {profile.battery_uah // 1000} mAh\n"
        f"  Time on battery: {_duration(statistics.seconds)} ({_percent(statistics.seconds, whole)}) realtime\n"
        f"  Total run time: {_duration(whole)} realtime\n\n  Estimated power use (mAh):\n"
        f"    Capacity: {profile.battery_uah // 1000}, Computed drain: {used:.3g}, actual drain: {used:.3g}\n"
        f"    Uid {name}: {app:.3g} ( cpu={app:.3g} )\n    Screen: {used - app:.3g} Excluded from smearing\n"
    )


def _drained_mah(call: Call) -> tuple[float, float]:
    """Of the whole phone, and of the app in front."""
    used = call.phone.state.battery_statistics.seconds * _DRAIN_MA / 3600
    return used, used * _APP_SHARE


def _front_uid(call: Call) -> int:
    return {"com.android.chrome": 10101, "dev.fitmatrix.webviewhost": 10102}.get(call.phone.state.foreground, 1000)


def _duration(seconds: float) -> str:
    return f"{int(seconds)}s {int(seconds % 1 * 1000)}ms"


def _percent(part: float, whole: float) -> str:
    return f"{part * 100 / whole if whole else 0:.1f}%"


@DUMPS.add("thermalservice")
async def dump_thermal(call: Call) -> None:
    """Source: AOSP, ThermalManagerService.dumpInternal."""
    status = call.phone.state.thermal_status
    battery = call.phone.state.battery.temperature_tenths_c / 10
    skin = max(battery + _SKIN_COOLER_C, _THROTTLE_C[status - 1] + 0.5 if status else 0.0)
    sensors = [
        (skin + 6, 0, "CPU0", status),
        (skin + 4, 1, "GPU0", status),
        (battery, 2, "battery", 0),
        (skin, 3, "skin", status),
    ]
    lines = "".join(
        f"\tTemperature{{mValue={value:.1f}, mType={kind}, mName={name}, mStatus={level}}}\n"
        for value, kind, name, level in sensors
    )
    thresholds = ", ".join(["NaN", *(str(value) for value in _THROTTLE_C)])
    await call.say(
        f"IsStatusOverride: false\nThermalEventListeners:\n\tcallbacks: 2\n\tkilled: false\n\tbroadcasts count: -1\n"
        f"ThermalStatusListeners:\n\tcallbacks: 3\n\tkilled: false\n\tbroadcasts count: -1\nThermal Status: {status}\n"
        f"Cached temperatures:\n{lines}HAL Ready: true\nHAL connection:\n\tThermalHAL 2.0 connected: yes\n"
        f"Current temperatures from HAL:\n{lines}Current cooling devices from HAL:\n"
        f"\tCoolingDevice{{mValue={max(0, status - 1)}, mType=2, mName=thermal-cpufreq-0}}\n"
        "Temperature static thresholds from HAL:\n"
        f"\tTemperatureThreshold{{mType=3, mName=skin, mHotThrottlingThresholds=[{thresholds}], "
        "mColdThrottlingThresholds=[NaN, NaN, NaN, NaN, NaN, NaN, NaN]}\n"
    )


@DUMPS.add("power")
async def dump_power(call: Call) -> None:
    state = call.phone.state
    awake = "Awake" if state.screen_on else "Asleep"
    powered = str(state.battery.powered).lower()
    stay_on = state.settings.get(("global", "stay_on_while_plugged_in"), "0")
    timeout = state.settings.get(("system", "screen_off_timeout"), "30000")
    await call.say(
        f"POWER MANAGER (dumpsys power)\n\nPower Manager State:\n  mWakefulness={awake}\n  mWakefulnessChanging=false\n"
        f"  mIsPowered={powered}\n  mPlugType={2 if state.battery.powered else 0}\n"
        f"  mBatteryLevel={state.battery.level}\n  mStayOn={str(stay_on != '0' and state.battery.powered).lower()}\n"
        f"  mHoldingWakeLockSuspendBlocker=false\n  mHoldingDisplaySuspendBlocker={str(state.screen_on).lower()}\n"
        "\nSettings and Configuration:\n"
        f"  mScreenOffTimeoutSetting={timeout}\n  mStayOnWhilePluggedInSetting={stay_on}\n"
        f"\nDisplay Power: state={'ON' if state.screen_on else 'OFF'}\n"
    )
