from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.lab_plan import Pool
from orchestrator.domain.placement import Head, Placement, place
from orchestrator.domain.records import DeviceRecord
from tests.unit.domain.builders import NOW, device, device_record

_numbers = count(1)


def head(device_id: str = "a", submitter: str = "ann", priority: int = 50, age: int = 0, **changes: Any) -> Head:
    values: dict[str, Any] = {"browser": "chromium", "repeat": 0, "variant_bytes": 10}
    return Head(
        run_id=changes.pop("run_id", f"r-{next(_numbers)}"),
        device_id=device_id,
        submitter=submitter,
        priority=priority,
        job_created_at=NOW - timedelta(seconds=age),
        **(values | changes),
    )


def decide(
    heads: Sequence[Head],
    *,
    groups: Mapping[str, str] | None = None,
    used: Mapping[str, float] | None = None,
    pools: Mapping[str, Pool] | None = None,
    busy: Mapping[str, int] | None = None,
) -> Placement:
    devices = {
        one.device_id: device_record(device(one.device_id, exclusive_group=(groups or {}).get(one.device_id)))
        for one in heads
    }

    def pools_of(record: DeviceRecord) -> tuple[Pool, ...]:
        pool = (pools or {}).get(record.registration.id)
        return (pool,) if pool else ()

    return place(heads, devices, used or {}, pools_of, busy or {})


def test_priority_goes_before_everything_else() -> None:
    urgent = head(submitter="greedy", priority=51, repeat=9, variant_bytes=99)
    assert decide([head(age=100), urgent], used={"greedy": 1e9}).chosen == [urgent]


def test_then_the_submitter_who_has_had_least_then_age_repeat_and_size() -> None:
    old, new = head(submitter="bob", age=100), head(submitter="ann")
    assert decide([old, new], used={"bob": 2, "ann": 1}).chosen == [new]
    assert decide([old, new], used={"bob": 1, "ann": 1}).chosen == [old]
    first = head(repeat=0, variant_bytes=99)
    assert decide([head(repeat=1), first], groups={"a": "host"}).chosen == [first]
    small = head(variant_bytes=1)
    assert decide([head(), small]).chosen == [small]


def test_devices_that_share_hardware_get_one_run() -> None:
    heads = [head("a"), head("b", age=1), head("c")]
    chosen = decide(heads, groups={"a": "host", "b": "host"}).chosen
    assert sorted(one.device_id for one in chosen) == ["b", "c"]


def test_many_devices_that_are_free_at_once_are_shared() -> None:
    heads = [head(str(number), submitter, age=age) for number in range(100) for submitter, age in (("a", 9), ("b", 0))]
    assert Counter(one.submitter for one in decide(heads).chosen) == {"a": 50, "b": 50}


def test_who_has_had_more_waits_until_the_other_has_had_as_much() -> None:
    heads = [head(str(number), submitter) for number in range(10) for submitter in ("a", "b")]
    chosen = decide(heads, used={"a": 240.0}).chosen
    assert Counter(one.submitter for one in chosen) == {"a": 3, "b": 7}


def test_a_full_pool_holds_its_devices_back_and_no_others() -> None:
    hub = Pool("hub", 2)
    heads = [head("a", age=1), head("b", priority=90), head("c", age=2), head("d")]
    placement = decide(heads, pools=dict.fromkeys("abc", hub))
    assert {one.device_id for one in placement.chosen} == {"b", "c", "d"}
    assert placement.held_back == {"a"}
    assert {one.device_id for one in decide(heads, pools=dict.fromkeys("abc", hub), busy={"hub": 2}).chosen} == {"d"}


@given(
    st.lists(
        st.builds(
            head,
            device_id=st.sampled_from("abcdef"),
            submitter=st.sampled_from(["ann", "bob", ""]),
            priority=st.integers(0, 3),
            age=st.integers(0, 5),
        )
    ),
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["host", "rack"])),
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from([Pool("hub", 1), Pool("rack", 2)])),
)
def test_whatever_waits_no_hardware_is_shared_no_pool_overrun_and_nothing_able_left_idle(
    heads: list[Head], groups: dict[str, str], pools: dict[str, Pool]
) -> None:
    placement = decide(heads, groups=groups, pools=pools)
    group_of = [groups.get(one.device_id, one.device_id) for one in placement.chosen]
    assert len(group_of) == len(set(group_of))
    in_pools = Counter(pools[one.device_id] for one in placement.chosen if one.device_id in pools)
    assert all(runs <= pool.limit for pool, runs in in_pools.items())
    for one in heads:
        served = groups.get(one.device_id, one.device_id) in group_of
        assert served or one.device_id in placement.held_back
    by_group = dict(zip(group_of, placement.chosen, strict=True))
    for one in heads:
        first = by_group.get(groups.get(one.device_id, one.device_id))
        if first is not None and one.device_id not in placement.held_back:
            assert first.priority >= one.priority
