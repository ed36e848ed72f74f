"""Words about killed processes, in the forms of Android 8 to 15."""

from pathlib import Path

import pytest

from agents.devices.adb import Adb, AdbSettings
from agents.probes.logcat import LogcatRecorder, memory_kill

_PACKAGES = ["com.android.chrome", "com.google.android.webview", "dev.fitmatrix.webviewhost"]
_HEAD = "07-23 15:29:14.853   157   157"
_RENDERER = "com.android.chrome:sandboxed_process0:org.chromium.content.app.SandboxedProcessService0:12"


@pytest.mark.parametrize(
    "line",
    [
        # Android 9: lmkd's first line; the second, `   to free …kB because …`, names no process.
        f"12-11 13:16:41.994  3019  3019 I lowmemorykiller: Killing '{_RENDERER}' (8383), uid 90012, adj 0",
        # Android 10
        f"03-05 01:29:00.000   311   311 I lowmemorykiller: Kill '{_RENDERER}' (8383), uid 90012, oom_adj 0 "
        "to free 412032kB",
        # Android 11
        f"07-23 15:29:14.853   157   157 I lowmemorykiller: Kill '{_RENDERER}' (8383), uid 90012, oom_adj 0 "
        "to free 688076kB; reason: min watermark is breached and swap is low (0kB < 204800kB)",
        # Android 12 to 14
        f"07-23 15:29:14.853   157   157 I lowmemorykiller: Kill '{_RENDERER}' (8383), uid 90012, oom_score_adj 0 "
        "to free 688076kB rss, 975256kB swap; reason: min watermark is breached even after kill",
        # Android 15
        f"07-28 10:46:14.514   479   479 I lowmemorykiller: Kill '{_RENDERER}' (8383), uid 1010174, oom_score_adj 0 to "
        "free 4445960kB rss, 3990164kB anon rss, 2413008kB swap, 0kB dmabuf_pss, 0kB dmabuf_rss; reason: min "
        "watermark is breached even after kill",
        # The activity manager, where it kills for memory itself
        "08-22 15:24:10.921  1000  2837 I am_kill : [0,8383,com.android.chrome:sandboxed_process0,0,low memory,469716]",
        "08-22 15:24:10.921  1000  2837 I ActivityManager: Killing 8383:com.android.chrome/u0a101 (adj 0): memory",
        "08-22 15:24:10.921   479   479 I lmkd    : Kill 'com.android.chrome' (8383), uid 10101, oom_score_adj 900",
        "08-22 15:24:10.921   479   479 I lowmemorykiller: Kill 'com.google.android.webview:sandboxed_process0:"
        "org.chromium.content.app.SandboxedProcessService0:3' (8383), uid 90003, oom_score_adj 0 to free 1kB rss, "
        "0kB swap",
    ],
)
def test_a_process_of_the_browser_that_was_killed_for_memory_is_named(line: str) -> None:
    kill = memory_kill(line, _PACKAGES)
    assert kill is not None
    assert kill[0] == "8383"
    assert "Kill" in kill[1] or "memory" in kill[1]


@pytest.mark.parametrize(
    "line",
    [
        # Another app's process, and one whose name only begins like ours
        "07-23 15:29:14.853   157   157 I lowmemorykiller: Kill 'com.facebook.react.uiapp' (31312), uid 10199, "
        "oom_score_adj 0 to free 688076kB rss, 975256kB swap; reason: min watermark is breached even after kill",
        "07-23 15:29:14.853   157   157 I lowmemorykiller: Kill 'com.android.chromecast' (31312), uid 10199, "
        "oom_score_adj 0 to free 688076kB rss, 975256kB swap; reason: x",
        # What ends a browser in good order, or by a crash
        "08-22 15:24:10.921  1000  2837 I am_kill : [0,13938,com.android.chrome:sandboxed_process0,0,"
        "isolated not needed,0]",
        "08-22 15:24:10.921  1000  2837 I ActivityManager: Killing 8383:com.android.chrome/u0a101 (adj 0): stop "
        "com.android.chrome due to from pid 9000",
        f"08-22 15:24:10.921  1000  2837 I ActivityManager: Process {_RENDERER} (pid 8383) has died: fg  TOP",
        "08-22 15:24:10.921  402  402 I Zygote  : Process 8383 exited due to signal 9 (Killed)",
        # lmkd speaking of something else, and an app quoting it
        "12-11 13:16:41.952  3019  3019 I lowmemorykiller:    to free 53468kB because system is under medium memory "
        "pressure oom_adj 800",
        "07-28 10:46:14.319   479   479 W lowmemorykiller: Failed to open /proc/16854/oom_score_adj; errno=2: process "
        "16854 might have been killed",
        '07-28 10:46:14.319   479   479 I chromium: [INFO:CONSOLE(1)] "07-28 10:46:14.319   479   479 I '
        "lowmemorykiller: Kill 'com.android.chrome' (8383), uid 10101\"",
    ],
)
def test_other_words_are_no_memory_kill(line: str) -> None:
    assert memory_kill(line, _PACKAGES) is None


@pytest.fixture
def recorder() -> LogcatRecorder:
    return LogcatRecorder(Adb("R58M12ABCDE", AdbSettings(Path("/nowhere/adb"))), _PACKAGES)


def test_one_process_is_killed_once(recorder: LogcatRecorder) -> None:
    recorder.hear(f"{_HEAD} I lowmemorykiller: Kill 'com.android.chrome' (8383), uid 1, oom_score_adj 0 to free 1kB\n")
    recorder.hear(f"{_HEAD} I am_kill : [0,8383,com.android.chrome,0,low memory,0]\n")
    assert len(recorder.memory_kills) == 1
    assert recorder.memory_kills[0].startswith("Kill 'com.android.chrome' (8383)")


def test_a_long_log_keeps_its_end(recorder: LogcatRecorder, tmp_path: Path) -> None:
    for number in range(3_000):
        recorder.hear(f"{number} {'x' * 5_000}\n")
    recorder.hear("the last word\r\n")
    file = recorder.write(tmp_path)[0]
    assert file.stat().st_size < 2.1 * 2**20
    lines = file.read_text().splitlines()
    assert lines[0] == "(the beginning is left out)"
    assert lines[-1] == "the last word"


def test_a_recorder_that_was_never_started_stops_and_writes(recorder: LogcatRecorder, tmp_path: Path) -> None:
    recorder.stop()
    recorder.start()  # there is no adb: nothing is recorded, and nothing is wrong
    recorder.stop()
    recorder.stop()
    assert recorder.write(tmp_path)[0].read_text() == ""
