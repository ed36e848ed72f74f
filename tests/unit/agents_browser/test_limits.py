"""Mechanisms of emulation, against plain files in place of the kernel's."""

import subprocess
from pathlib import Path

import pytest

from agents.devices.cgroup_v1 import V1LimitDriver, find_v1
from agents.devices.cgroup_v2 import V2LimitDriver, find_v2
from agents.devices.limits import GroupRecord, LimitError, Limits, counter, enter_and_run, processes_in, remove_group
from agents.devices.systemd_scope import ScopeLimitDriver, scope_command

LIMITS = Limits(memory_bytes=512 * 2**20, cpu_quota=0.5)


@pytest.fixture
def v1(tmp_path: Path) -> V1LimitDriver:
    for hierarchy in ("memory", "cpu"):
        (tmp_path / hierarchy).mkdir()
    return V1LimitDriver(tmp_path / "memory", tmp_path / "cpu")


def test_v1_writes_memory_swap_and_cpu_limits(v1: V1LimitDriver) -> None:
    group = v1.plan("run-1.1", LIMITS)
    assert list(v1.memory.iterdir()) == []
    # The kernel fills a new directory; a plain file system has to be helped.
    group.memory.mkdir()
    (group.memory / "memory.memsw.limit_in_bytes").touch()
    group.make()
    assert (group.memory / "memory.limit_in_bytes").read_text() == "536870912"
    assert (group.memory / "memory.memsw.limit_in_bytes").read_text() == "536870912"
    assert (group.cpu / "cpu.cfs_period_us").read_text() == "100000"
    assert (group.cpu / "cpu.cfs_quota_us").read_text() == "50000"


def test_v1_reads_what_the_kernel_counted(v1: V1LimitDriver) -> None:
    group = v1.plan("run-1.1", LIMITS)
    group.make()
    (group.memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    (group.memory / "memory.max_usage_in_bytes").write_text("536000000\n")
    figure = group.figure()
    assert (figure.version, figure.limit_bytes, figure.peak_bytes, figure.oom_kills) == (
        "v1",
        536870912,
        536000000,
        3,
    )


def test_v1_without_swap_accounting_or_without_a_limit(v1: V1LimitDriver) -> None:
    group = v1.plan("run-1.1", Limits(cpu_quota=2))
    group.make()
    assert list(group.memory.iterdir()) == []
    assert (group.cpu / "cpu.cfs_quota_us").read_text() == "200000"


def test_a_group_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    group = V1LimitDriver(tmp_path / "nowhere", tmp_path).plan("run-1.1", LIMITS)
    with pytest.raises(LimitError, match="could not be made: No such file or directory"):
        group.make()


def test_v1_is_found_by_its_two_hierarchies() -> None:
    mounts = (
        "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0\n"
        "cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\n"
        "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
    )
    assert find_v1(mounts) == V1LimitDriver(Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup/cpu,cpuacct"))
    assert find_v1(mounts.splitlines()[0]) is None
    assert find_v1("") is None


def test_v2_writes_its_limits_and_reads_its_counters(tmp_path: Path) -> None:
    group = V2LimitDriver(tmp_path).plan("run-1.1", LIMITS)
    group.make()
    assert (group.directory / "memory.max").read_text() == "536870912"
    assert (group.directory / "memory.swap.max").read_text() == "0"
    assert (group.directory / "cpu.max").read_text() == "50000 100000"
    (group.directory / "memory.events").write_text("low 0\nhigh 0\nmax 40\noom 2\noom_kill 2\noom_group_kill 0\n")
    assert (group.figure().oom_kills, group.figure().peak_bytes) == (2, None)
    (group.directory / "memory.peak").write_text("1000\n")
    assert (group.figure().version, group.figure().peak_bytes) == ("v2", 1000)
    assert group.wrap(Path("/usr/bin/chrome")).splitlines()[1].startswith(f"echo $$ > {group.directory}/cgroup.procs")


@pytest.mark.parametrize(("enabled", "found"), [("cpuset cpu io memory pids", True), ("cpu pids", False)])
def test_v2_needs_both_controllers(tmp_path: Path, enabled: str, found: bool) -> None:
    (tmp_path / "cgroup.subtree_control").write_text(enabled)
    driver = find_v2(f"proc /proc proc rw 0 0\ncgroup2 {tmp_path} cgroup2 rw,nosuid 0 0\n")
    assert driver == (V2LimitDriver(tmp_path) if found else None)


def test_a_scope_is_limited_on_its_command_line() -> None:
    command = scope_command("fitmatrix-run-1.1.scope", LIMITS, 255, Path("/usr/bin/chrome"))
    assert command == [
        *("systemd-run", "--user", "--scope", "--quiet", "--unit=fitmatrix-run-1.1.scope"),
        *("-p", "MemoryMax=536870912", "-p", "MemorySwapMax=0", "-p", "CPUQuota=50%", "-p", "OOMPolicy=continue"),
        *("--", "/usr/bin/chrome"),
    ]


def test_older_systemd_knows_no_oom_policy_for_scopes() -> None:
    command = scope_command("s.scope", Limits(cpu_quota=1.5), 252, Path("/usr/bin/chrome"))
    assert command == [
        *("systemd-run", "--user", "--scope", "--quiet", "--unit=s.scope"),
        *("-p", "CPUQuota=150%", "--", "/usr/bin/chrome"),
    ]


def test_a_scopes_wrapper_hands_the_browsers_arguments_on() -> None:
    group = ScopeLimitDriver(255).plan("run-1.1", LIMITS)
    assert group.record == GroupRecord(scope="fitmatrix-run-1.1.scope")
    script = group.wrap(Path("/opt/my chrome"))
    assert script.startswith("#!/bin/sh\nexec systemd-run --user --scope")
    assert script.endswith("-- '/opt/my chrome' \"$@\"\n")


def test_the_wrapper_joins_the_groups_and_becomes_the_browser(tmp_path: Path) -> None:
    procs = [tmp_path / "a b", tmp_path / "c"]
    script = tmp_path / "browser.sh"
    script.write_text(enter_and_run(procs, Path("/bin/echo")))
    script.chmod(0o755)
    process = subprocess.Popen([script, "--flag=1 2", "x"], stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate()
    assert output == "--flag=1 2 x\n"
    assert [file.read_text() for file in procs] == [f"{process.pid}\n"] * 2


def test_the_wrapper_starts_no_browser_outside_its_group(tmp_path: Path) -> None:
    script = tmp_path / "browser.sh"
    script.write_text(enter_and_run([tmp_path / "nowhere" / "cgroup.procs"], Path("/bin/echo")))
    answer = subprocess.run(["/bin/sh", script, "started"], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (1, "")


def test_counters_are_found_by_whole_name() -> None:
    assert counter("oom_kill_disable 1\noom_kill 7", "oom_kill") == 7
    assert counter("", "oom_kill") == 0


def test_only_own_groups_are_removed(tmp_path: Path) -> None:
    foreign, own = tmp_path / "important", tmp_path / "fitmatrix-run-1.1"
    foreign.mkdir()
    own.mkdir()
    problems = remove_group(GroupRecord(directories=[foreign, own, tmp_path / "fitmatrix-gone"]))
    assert problems == [f"{foreign} is not a group of this program."]
    assert foreign.exists()
    assert not own.exists()


def test_processes_of_a_group_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("12\n34\n")
    assert processes_in(GroupRecord(directories=[tmp_path, tmp_path / "gone"])) == {12, 34}
