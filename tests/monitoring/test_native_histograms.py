"""Native histograms, as a real Prometheus takes them that has been told to; one that has not keeps the classic ones."""

from collections.abc import Iterator

import httpx
import pytest

from tests.monitoring.lab import RunningPrometheus, WatchedLab, running_prometheus
from tests.waiting import wait_until

HISTOGRAMS = (
    "fitmatrix_dispatch_wait_seconds",
    "fitmatrix_attempt_duration_seconds",
    "fitmatrix_http_request_duration_seconds",
)


@pytest.fixture(scope="module")
def native(lab: WatchedLab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPrometheus]:
    """Beside the one that watches the lab all the time."""
    directory = tmp_path_factory.mktemp("native")
    token = httpx.post(f"{lab.coordinator.url}/api/v1/tokens", json={"name": "native", "role": "reader"}).json()
    features = "exemplar-storage,native-histograms"
    with running_prometheus(directory, lab.coordinator, token["token"], features) as prometheus:
        wait_until(lambda: prometheus.query("fitmatrix_dispatch_wait_seconds"), what="a scrape with native histograms")
        yield prometheus


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_quantiles_come_of_native_histograms(native: RunningPrometheus, name: str) -> None:
    for share in (0.05, 0.5, 0.95):
        (sample,) = native.query(f"histogram_quantile({share}, sum({name}))")
        assert 0 < float(sample["value"][1]) < 600
    (count,) = native.query(f"histogram_count(sum({name}))")
    assert float(count["value"][1]) >= 9


def test_rates_of_native_histograms_have_quantiles(native: RunningPrometheus, lab: WatchedLab) -> None:
    name = "fitmatrix_http_request_duration_seconds"

    def answered() -> list[object]:
        httpx.get(f"{lab.coordinator.url}/healthz").raise_for_status()
        return native.query(f'histogram_quantile(0.5, rate({name}{{route="/healthz"}}[10s])) > 0')

    wait_until(answered, what="a median of what happened meanwhile")


def test_native_histograms_count_what_the_classic_ones_do(native: RunningPrometheus, lab: WatchedLab) -> None:
    for name in HISTOGRAMS[:2]:
        for told, asked in (("count", f"{name}_count"), ("sum", f"{name}_sum")):
            assert native.value(f"histogram_{told}({name})") == lab.prometheus.value(asked)


def test_the_other_metrics_are_the_same(native: RunningPrometheus, lab: WatchedLab) -> None:
    """But for the classic series, which this version drops where there are native ones, and times of beginning."""

    def names(prometheus: RunningPrometheus) -> set[str]:
        told = prometheus.query('group by (__name__) ({job="fitmatrix", __name__=~"fitmatrix.+"})')
        found = {one["metric"]["__name__"] for one in told}
        return {name for name in found if not name.startswith(HISTOGRAMS) and not name.endswith("_created")}

    wait_until(lambda: names(native) == names(lab.prometheus), what="the same metrics")
    for query in (
        'fitmatrix_results_total{verdict="fits"}',
        'fitmatrix_attempts_total{fault="none"}',
        "sum(fitmatrix_cell_info)",
        "count by (device_name) (fitmatrix_cell_info)",
        "sum by (variant, browser) (fitmatrix_cell_fit_probability)",
        "fitmatrix_build_info",
        "fitmatrix_cells",
    ):
        assert values(native, query) == values(lab.prometheus, query) != {}, query


def values(prometheus: RunningPrometheus, query: str) -> dict[str, str]:
    return {str(sorted(one["metric"].items())): one["value"][1] for one in prometheus.query(query)}


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_who_was_told_nothing_keeps_the_classic_ones(lab: WatchedLab, name: str) -> None:
    assert lab.prometheus.query(f"{name}_bucket")
    assert lab.prometheus.query(name) == []


def test_the_recording_rules_record_from_either(native: RunningPrometheus) -> None:
    for name in (
        "job:fitmatrix_dispatch_wait_seconds:p95_rate1h",
        "job:fitmatrix_http_request_duration_seconds:p95_rate5m",
    ):
        assert wait_until(lambda name=name: native.query(name), what=name)  # type: ignore[misc]  # mypy cannot infer a lambda with a default


def test_a_native_observation_leads_to_its_run(native: RunningPrometheus) -> None:
    name = "fitmatrix_attempt_duration_seconds"
    (family, *_) = wait_until(
        lambda: native.get("query_exemplars", query=name, start="0", end="9999999999"), what="exemplars"
    )
    assert family["exemplars"][0]["labels"]["run_id"].startswith("r-")
