"""Prometheus' protobuf exposition: delimited families, with native histograms beside their classic buckets."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, Metric
from prometheus_client import samples as said

from orchestrator.telemetry import client_model
from orchestrator.telemetry.histograms import HistogramFamily

PACKAGE: Final = client_model.PACKAGE
MEDIA_TYPE: Final = f"application/vnd.google.protobuf; proto={PACKAGE}.MetricFamily; encoding=delimited"
_METRIC_OF_FAMILY: Final = b"\x22"
"""The tag of field 4, whose content has a length: messages are written one after the other without a word between."""
_NANO: Final = 10**9


def write_registry(registry: CollectorRegistry) -> bytes:
    """All that is in it: counters, gauges, infos, and histograms as `HistogramFamily`."""
    told = (metric for metric in registry.collect() if metric.samples)
    return b"".join(delimited(_family(metric).SerializeToString()) for metric in told)


def write_labels(labels: Mapping[str, str]) -> bytes:
    """Part of a metric."""
    pairs = [client_model.LabelPair(name=name, value=value) for name, value in labels.items()]
    written: bytes = client_model.Metric(label=pairs).SerializeToString()
    return written


def write_gauge(labels: bytes, value: float) -> bytes:
    """A metric of a family, with all its labels as `write_labels` gives them."""
    gauge: bytes = client_model.Metric(gauge=client_model.Gauge(value=value)).SerializeToString()
    return _METRIC_OF_FAMILY + delimited(labels + gauge)


def write_gauges(name: str, meaning: str, metrics: Iterable[bytes]) -> bytes:
    """A family of what `write_gauge` gives; nothing where there is none."""
    content = b"".join(metrics)
    if not content:
        return b""
    head: bytes = client_model.MetricFamily(name=name, help=meaning, type=client_model.GAUGE).SerializeToString()
    return delimited(head + content)


def delimited(message: bytes) -> bytes:
    """With its length before it, in sevens of bits, the lowest first."""
    length, written = len(message), bytearray()
    while length > 0x7F:
        written.append(length & 0x7F | 0x80)
        length >>= 7
    written.append(length)
    return bytes(written) + message


def _family(metric: Metric) -> Any:
    if isinstance(metric, HistogramFamily):
        return _message(metric.name, metric, client_model.HISTOGRAM, _histograms(metric))
    if metric.type == "counter":
        return _message(f"{metric.name}_total", metric, client_model.COUNTER, _counters(metric))
    name = f"{metric.name}_info" if metric.type == "info" else metric.name
    gauges = (
        client_model.Metric(label=_pairs(sample.labels), gauge=client_model.Gauge(value=sample.value))
        for sample in metric.samples
    )
    return _message(name, metric, client_model.GAUGE, gauges)


def _message(name: str, metric: Metric, kind: int, metrics: Iterable[Any]) -> Any:
    return client_model.MetricFamily(name=name, help=metric.documentation, type=kind, metric=metrics)


def _counters(metric: Metric) -> Iterable[Any]:
    created = {tuple(one.labels.values()): one.value for one in metric.samples if one.name.endswith("_created")}
    for sample in metric.samples:
        if sample.name.endswith("_created"):
            continue
        counter = client_model.Counter(value=sample.value)
        if sample.exemplar:
            counter.exemplar.CopyFrom(_exemplar(sample.exemplar))
        if began := created.get(tuple(sample.labels.values())):
            _set_moment(counter.created_timestamp, began)
        yield client_model.Metric(label=_pairs(sample.labels), counter=counter)


def _histograms(family: HistogramFamily) -> Iterable[Any]:
    made: dict[tuple[str, ...], Any] = {}
    for sample in family.samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        key = tuple(labels.values())
        if key not in made:
            made[key] = client_model.Metric(label=_pairs(labels), histogram=_native(family.native[key]))
        histogram = made[key].histogram
        if sample.name.endswith("_created"):
            _set_moment(histogram.created_timestamp, sample.value)
        elif sample.name.endswith("_bucket"):
            bucket = histogram.bucket.add(cumulative_count=int(sample.value), upper_bound=float(sample.labels["le"]))
            if sample.exemplar:
                bucket.exemplar.CopyFrom(_exemplar(sample.exemplar))
                histogram.exemplars.append(bucket.exemplar)
    return made.values()


def _native(native: said.NativeHistogram) -> Any:
    histogram = client_model.Histogram(
        sample_count=int(native.count_value),
        sample_sum=native.sum_value,
        schema=native.schema,
        zero_threshold=native.zero_threshold,
        zero_count=int(native.zero_count),
        positive_delta=native.pos_deltas,
    )
    for span in native.pos_spans or ():
        histogram.positive_span.add(offset=span.offset, length=span.length)
    return histogram


def _pairs(labels: Mapping[str, str]) -> list[Any]:
    return [client_model.LabelPair(name=name, value=value) for name, value in labels.items()]


def _exemplar(exemplar: said.Exemplar) -> Any:
    made = client_model.Exemplar(label=_pairs(exemplar.labels), value=exemplar.value)
    if exemplar.timestamp is not None:
        _set_moment(made.timestamp, float(exemplar.timestamp))
    return made


def _set_moment(moment: Any, seconds: float) -> None:
    moment.FromNanoseconds(round(seconds * _NANO))
