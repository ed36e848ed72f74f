"""Native histograms and the protobuf exposition, read back by the published numbers of its fields."""

import math
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge

from orchestrator.telemetry import client_model
from orchestrator.telemetry.exposition import Exposition, preferred
from orchestrator.telemetry.histograms import SCHEMA, ZERO_THRESHOLD, SpeakingHistogram, bucket_of
from orchestrator.telemetry.protobuf import MEDIA_TYPE, delimited, write_registry
from tests.unit.cli.matrix_samples import cell, figure
from tests.unit.telemetry.test_exposition import OPENMETRICS, POISON, Shelf, exposition, key, openmetrics_families

PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
PROMETHEUS_2 = (
    f"{PROTOBUF},application/openmetrics-text;version=1.0.0;q=0.8,"
    "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


def read(said: bytes) -> dict[str, Any]:
    """Families by name; each has its length before it."""
    families = {}
    place = 0
    while place < len(said):
        length = shift = 0
        while True:
            byte = said[place]
            place += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        family = client_model.MetricFamily.FromString(said[place : place + length])
        assert family.name not in families
        families[family.name] = family
        place += length
    return families


def labels(metric: Any) -> dict[str, str]:
    return {pair.name: pair.value for pair in metric.label}


def buckets(histogram: Any) -> dict[int, int]:
    """Counts by the number of the bucket."""
    counts: dict[int, int] = {}
    deltas = iter(histogram.positive_delta)
    number = count = 0
    for span in histogram.positive_span:
        number += span.offset
        for _ in range(span.length):
            count += next(deltas)
            counts[number] = count
            number += 1
    assert not list(deltas)
    return counts


@pytest.mark.parametrize("value", [1e-6, 0.001, 0.3, 0.5, 0.99, 1, 1.0001, 2, 3, 7, 1024, 86_400.5])
def test_a_value_lies_in_its_bucket(value: float) -> None:
    number = bucket_of(value)
    assert 2 ** ((number - 1) / 2**SCHEMA) < value <= 2 ** (number / 2**SCHEMA)


def test_both_kinds_of_buckets_tell_of_the_same_observations() -> None:
    registry = CollectorRegistry()
    histogram = SpeakingHistogram("some_seconds", "Some.", buckets=(0.1, 1, 10), registry=registry)
    values = [0.05, 0.5, 0.51, 0.9, 5, 5, 70, 0, ZERO_THRESHOLD, -3]
    for number, value in enumerate(values):
        histogram.observe(value, exemplar={"run_id": f"r-{number}"})
    family = read(write_registry(registry))["some_seconds"]
    assert (family.type, family.help) == (client_model.HISTOGRAM, "Some.")
    (metric,) = family.metric
    told = metric.histogram
    assert (told.schema, told.zero_threshold, told.zero_count) == (SCHEMA, ZERO_THRESHOLD, 3)
    assert told.sample_count == len(values) == told.zero_count + sum(buckets(told).values())
    assert told.sample_sum == pytest.approx(sum(value for value in values if value > 0))
    expected: dict[int, int] = {}
    for value in values:
        if value > ZERO_THRESHOLD:
            expected[bucket_of(value)] = expected.get(bucket_of(value), 0) + 1
    assert buckets(told) == expected
    assert [(one.upper_bound, one.cumulative_count) for one in told.bucket] == [
        (0.1, 4),
        (1, 7),
        (10, 9),
        (math.inf, 10),
    ]
    named = [one.label[0].value for one in told.exemplars]
    assert named == [one.exemplar.label[0].value for one in told.bucket] == ["r-9", "r-3", "r-5", "r-6"]
    assert all(one.timestamp.seconds > 1_700_000_000 for one in told.exemplars)
    assert told.created_timestamp.seconds > 1_700_000_000


def test_histograms_are_told_apart_by_their_labels() -> None:
    registry = CollectorRegistry()
    histogram = SpeakingHistogram("some_seconds", "Some.", ["method", "route"], buckets=(1,), registry=registry)
    assert read(write_registry(registry)) == {}
    histogram.observe(0.5, ("GET", "/a"))
    histogram.observe(2, ("POST", "/a"))
    told = {
        labels(one)["method"]: buckets(one.histogram) for one in read(write_registry(registry))["some_seconds"].metric
    }
    assert told == {"GET": {-8: 1}, "POST": {8: 1}}


def test_counters_and_gauges_are_named_as_in_text() -> None:
    registry = CollectorRegistry()
    counter = Counter("some_things_total", "Things.", ["kind"], registry=registry)
    counter.labels("a").inc(3, exemplar={"run_id": "r-1"})
    Gauge("some_size", 'Size "quoted"\nand broken.', registry=registry).set(7)
    told = read(write_registry(registry))
    (metric,) = told["some_things_total"].metric
    assert told["some_things_total"].type == client_model.COUNTER
    assert (labels(metric), metric.counter.value, metric.counter.exemplar.label[0].value) == ({"kind": "a"}, 3, "r-1")
    assert metric.counter.created_timestamp.seconds > 1_700_000_000
    assert told["some_size"].help == 'Size "quoted"\nand broken.'
    assert told["some_size"].metric[0].gauge.value == 7


def test_cells_are_the_same_in_every_format() -> None:
    shelf = Shelf(
        cell(key=key("a"), latency_seconds=figure(0.25), device_name=POISON, browser="x" * 500),
        cell(key=key("b"), runs=9),
        *(cell(key=f"{number:016}".ljust(64, "0")) for number in range(200)),
    )
    made = exposition(shelf)

    def in_text() -> dict[str, Any]:
        return {
            family.name: sorted((sorted(one.labels.items()), one.value) for one in family.samples)
            for family in openmetrics_families(made.answer(OPENMETRICS)[0].decode())
            if family.samples
        }

    def in_protobuf() -> dict[str, Any]:
        said, media_type = made.answer(PROMETHEUS_2)
        assert media_type == MEDIA_TYPE
        return {
            name: sorted((sorted(labels(one).items()), one.gauge.value) for one in family.metric)
            for name, family in read(said).items()
        }

    assert in_protobuf() == in_text()
    shelf.put(*shelf.now[1:50], cell(key=key("c")))
    assert in_protobuf() == in_text()
    shelf.put()
    assert in_protobuf() == in_text()


@pytest.mark.parametrize("length", [0, 1, 127, 128, 300, 16_384, 70_000])
def test_a_message_has_its_length_before_it(length: int) -> None:
    name = "x" * length
    message = client_model.MetricFamily(name=name).SerializeToString()
    assert list(read(delimited(message))) == [name]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/plain"),
        ("*/*", "text/plain"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/plain"),
        ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0", "application/openmetrics-text"),
        ("text/plain;version=0.0.4,application/openmetrics-text;version=1.0.0;q=0.5", "text/plain"),
        (PROMETHEUS_2, "application/vnd.google.protobuf"),
        (PROMETHEUS_2.replace("delimited", "delimited;q=0"), "application/openmetrics-text"),
        (PROMETHEUS_2.replace("delimited", "text"), "application/openmetrics-text"),
        (PROMETHEUS_2.replace("MetricFamily", "Other"), "application/openmetrics-text"),
        (f"{PROTOBUF};q=0.2,text/plain;q=0.3", "text/plain"),
        (f"{PROTOBUF};q=odd,text/plain;q=0.3", "text/plain"),
        (";;,=;q,", "text/plain"),
    ],
)
def test_the_client_gets_what_it_likes_best(accept: str, media_type: str) -> None:
    _, told = exposition(Shelf()).answer(accept)
    assert told.startswith(media_type), preferred(accept)


def test_until_the_cells_are_read_a_scrape_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.telemetry.exposition.PATIENCE_SECONDS", 0)
    registry = CollectorRegistry()
    Gauge("some_size", "Size.", registry=registry).set(7)
    made = Exposition(registry, Shelf(cell(key=key("a"))))
    with pytest.raises(RuntimeError, match="being read"):
        made.check()
    for accept in (OPENMETRICS, PROTOBUF, ""):
        said, _ = made.answer(accept)
        assert b"some_size" in said
        assert b"fitmatrix_cell" not in said
    made.prepare()
    made.check()
    for accept in (OPENMETRICS, PROTOBUF, ""):
        assert b"fitmatrix_cell" in made.answer(accept)[0]


def test_what_cannot_be_prepared_is_tried_again_by_the_scrape(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise OSError("the database is away")

    made = Exposition(CollectorRegistry(), Shelf(cell(key=key("a"))))
    made.prepare([fail])
    made.check()
    assert "the database is away" in caplog.text
    assert b"fitmatrix_cell_runs" in made.answer("")[0]
