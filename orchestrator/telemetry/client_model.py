"""The messages of Prometheus' protobuf exposition: package `io.prometheus.client`, by the numbers of its fields.

No package with them that is kept up knows native histograms, and they are few.
"""

from typing import Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import DESCRIPTOR as TIMESTAMP

PACKAGE: Final = "io.prometheus.client"
_MOMENT: Final = ".google.protobuf.Timestamp"
_FIELDS: Final = {
    "LabelPair": "1 name string, 2 value string",
    "Gauge": "1 value double",
    "Counter": "1 value double, 2 exemplar Exemplar, 3 created_timestamp Timestamp",
    "Exemplar": "1 label LabelPair*, 2 value double, 3 timestamp Timestamp",
    "Bucket": "1 cumulative_count uint64, 2 upper_bound double, 3 exemplar Exemplar",
    "BucketSpan": "1 offset sint32, 2 length uint32",
    "Histogram": (
        "1 sample_count uint64, 2 sample_sum double, 3 bucket Bucket*, 5 schema sint32, 6 zero_threshold double, "
        "7 zero_count uint64, 12 positive_span BucketSpan*, 13 positive_delta sint64*, 15 created_timestamp Timestamp, "
        "16 exemplars Exemplar*"
    ),
    "Metric": "1 label LabelPair*, 2 gauge Gauge, 3 counter Counter, 7 histogram Histogram",
    "MetricFamily": "1 name string, 2 help string, 3 type int32, 4 metric Metric*",
}
"""Number, name and type of each field that we fill; a star where there may be several."""


def _message(name: str, fields: str) -> DescriptorProto:
    message = DescriptorProto(name=name)
    for field in fields.split(", "):
        number, field_name, kind = field.split(" ")
        several = FieldDescriptorProto.LABEL_REPEATED if kind.endswith("*") else FieldDescriptorProto.LABEL_OPTIONAL
        kind = kind.removesuffix("*")
        described = message.field.add(name=field_name, number=int(number), label=several)
        if kind.islower():
            described.type = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")
        else:
            described.type = FieldDescriptorProto.TYPE_MESSAGE
            described.type_name = _MOMENT if kind == "Timestamp" else f".{PACKAGE}.{kind}"
    return message


_POOL: Final = DescriptorPool()
"""Our own: another library may bring the same package."""
_POOL.AddSerializedFile(TIMESTAMP.serialized_pb)
_POOL.Add(
    FileDescriptorProto(
        name="fitmatrix/metrics.proto",
        package=PACKAGE,
        syntax="proto2",
        dependency=[TIMESTAMP.name],
        message_type=[_message(name, fields) for name, fields in _FIELDS.items()],
    )
)


def _class(name: str) -> Any:
    return GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


Bucket: Final = _class("Bucket")
Counter: Final = _class("Counter")
Exemplar: Final = _class("Exemplar")
Gauge: Final = _class("Gauge")
Histogram: Final = _class("Histogram")
LabelPair: Final = _class("LabelPair")
Metric: Final = _class("Metric")
MetricFamily: Final = _class("MetricFamily")

COUNTER: Final = 0
GAUGE: Final = 1
HISTOGRAM: Final = 4
"""Types of families."""
