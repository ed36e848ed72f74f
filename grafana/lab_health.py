"""The dashboard "Lab health": fleet, heat, queue, latency and agents."""

from collections.abc import Iterator

from grafana.parts import (
    AMBER,
    BLUE,
    DEVICE_STATES,
    GREEN,
    RED,
    SLATE,
    Panel,
    bars,
    choice,
    dashboard_json,
    lines,
    listing,
    now,
    number,
    over_time,
    rows,
    stacked,
)

_PRIORITIES = {"high": RED, "normal": BLUE, "low": SLATE}


def generate() -> str:
    return dashboard_json(
        "lab-health",
        "Lab health",
        "Whether the lab does its work: devices, agents, queue, dispatcher and coordinator.",
        [choice("device", "device", "fitmatrix_device_state").all_value(".*")],
        _panels(),
    )


def _panels() -> Iterator[Panel]:
    yield from _at_a_glance()
    yield from _queue()
    yield from _fleet()
    yield from _bodies()
    yield from _agents()
    yield from _coordinator()


def _at_a_glance() -> Iterator[Panel]:
    yield number(
        "Dispatcher",
        "1 while one is active.",
        "(time() - fitmatrix_dispatcher_lead_until_timestamp_seconds) < bool 60",
        "short",
        (RED, None),
        (GREEN, 1),
    )
    yield number(
        "Usable devices",
        "Share of the devices that work or could.",
        "job:fitmatrix_devices_usable:ratio",
        "percentunit",
        (RED, None),
        (AMBER, 0.5),
        (GREEN, 0.8),
    )
    yield number(
        "At work",
        "Share of the usable devices that work on an attempt.",
        "job:fitmatrix_devices_busy:ratio",
        "percentunit",
        (BLUE, None),
    )
    yield number("Waiting runs", "All that are queued.", "sum(fitmatrix_queued_runs)", "short", (BLUE, None))
    yield number(
        "Infrastructure faults",
        "Share of the last hour's attempts that the lab failed, not the model.",
        "job:fitmatrix_attempts_infrastructure:ratio_rate1h",
        "percentunit",
        (GREEN, None),
        (RED, 0.2),
    )
    yield number(
        "Silent agents",
        "Not heard for five minutes.",
        "sum((time() - fitmatrix_agent_last_seen_timestamp_seconds) > bool 300)",
        "short",
        (GREEN, None),
        (RED, 1),
    )


def _queue() -> Iterator[Panel]:
    yield stacked(
        "Queue by priority",
        "Runs that wait, by their job's priority against the usual one.",
        over_time("sum by (priority) (fitmatrix_queued_runs)", "{{priority}}"),
        _PRIORITIES,
    )
    yield lines(
        "Wait for a device",
        "Nineteen of twenty attempts of the last hour were leased within this time of their run's creation.",
        [over_time("job:fitmatrix_dispatch_wait_seconds:p95_rate1h", "95 %")],
        "s",
    )
    yield lines(
        "Length of attempts",
        "Half of the last hour's attempts were over within this time.",
        [over_time("job:fitmatrix_attempt_duration_seconds:p50_rate1h", "50 %")],
        "s",
    )
    yield stacked(
        "Runs under way",
        "By state.",
        over_time('sum by (state) (fitmatrix_runs{state=~"queued|leased|running"})', "{{state}}"),
    )
    yield lines(
        "Attempts that ended",
        "In an hour; those of the lab are tried again.",
        [
            over_time(
                "sum by (infrastructure) (increase(fitmatrix_attempts_total[1h]))", "infrastructure: {{infrastructure}}"
            )
        ],
    )
    yield bars(
        "Queue by device",
        "The longest ones.",
        now('topk(15, fitmatrix_device_queued_runs{device=~"$device"})', "{{device}}"),
        "short",
        width=8,
    ).height(8)


def _fleet() -> Iterator[Panel]:
    yield stacked(
        "Devices by state",
        "A device in quarantine takes health runs alone, until one passes.",
        over_time("sum by (state) (fitmatrix_devices)", "{{state}}"),
        DEVICE_STATES,
        width=12,
    )
    yield stacked(
        "Devices by class",
        "As their agents class them.",
        over_time("sum by (device_class) (fitmatrix_class_devices)", "{{device_class}}"),
        width=12,
    )


def _bodies() -> Iterator[Panel]:
    chosen = '{device=~"$device"}'
    yield lines(
        "Heat of the batteries",
        "Of devices that tell it and are not offline.",
        [over_time(f"fitmatrix_device_battery_temperature_celsius{chosen}", "{{device}}")],
        "celsius",
        least=None,
    )
    yield lines(
        "Charge of the batteries",
        "Of devices that tell it and are not offline.",
        [over_time(f"fitmatrix_device_battery_ratio{chosen}", "{{device}}")],
        "percentunit",
    ).max(1)
    yield lines(
        "Throttling",
        "0 none, 1 light, 2 moderate, 3 severe, 4 critical, 5 emergency, 6 shutdown.",
        [over_time(f"fitmatrix_device_thermal_status{chosen}", "{{device}}")],
    ).max(6)
    yield lines(
        "Free storage",
        "Browsers give pages a share of it.",
        [over_time(f"fitmatrix_device_free_storage_bytes{chosen}", "{{device}}")],
        "bytes",
    )
    yield lines(
        "Answer of the devices",
        "To the shortest question there is.",
        [over_time(f"fitmatrix_device_latency_seconds{chosen}", "{{device}}")],
        "s",
    )
    yield lines(
        "Faults in a row",
        "That were not the model's; three take a device out of service.",
        [over_time(f"fitmatrix_device_infrastructure_faults{chosen}", "{{device}}")],
    )


def _agents() -> Iterator[Panel]:
    yield listing(
        "Agents heard",
        "Seconds since the coordinator heard of each.",
        [rows("time() - fitmatrix_agent_last_seen_timestamp_seconds")],
        ("agent", "Value"),
        width=8,
        height=8,
    ).unit("s")
    yield lines(
        "Agents scraped",
        "Whether their metrics are there, and which devices can take an attempt.",
        [
            over_time('up{job="fitmatrix-agent"}', "{{agent}}"),
            over_time("fitmatrix_agent_device_up", "{{device}}", ref="B"),
        ],
    ).max(1)
    yield lines(
        "Reports on the agents' disks",
        "Waiting to be sent, or rejected by the coordinator.",
        [over_time("sum by (agent, state) (fitmatrix_agent_spool_reports)", "{{agent}}: {{state}}")],
    )
    yield lines(
        "Free disk of the agents",
        "Below 512 MiB an agent takes no more attempts.",
        [over_time("fitmatrix_agent_storage_free_bytes", "{{agent}}")],
        "bytes",
    )
    yield lines(
        "Caches of the agents",
        "Models and pages.",
        [over_time("fitmatrix_agent_cache_bytes", "{{agent}}")],
        "bytes",
    )
    yield lines(
        "Attempts by agent",
        "In an hour, by outcome.",
        [over_time("sum by (agent, outcome) (increase(fitmatrix_agent_attempts_total[1h]))", "{{agent}}: {{outcome}}")],
    )


def _coordinator() -> Iterator[Panel]:
    yield lines(
        "Answers of the coordinator",
        "Nineteen of twenty requests of five minutes began to be answered within this time.",
        [over_time("job:fitmatrix_http_request_duration_seconds:p95_rate5m", "95 %")],
        "s",
    )
    yield lines(
        "Requests",
        "In a second, by route.",
        [over_time("topk(12, sum by (route) (rate(fitmatrix_http_requests_total[5m])))", "{{route}}")],
        "reqps",
    )
    yield lines(
        "Errors",
        "Share of the requests that the coordinator could not answer.",
        [over_time("job:fitmatrix_http_errors:ratio_rate5m", "5xx")],
        "percentunit",
    )
    yield lines(
        "Scrapes",
        "How long they take.",
        [over_time('scrape_duration_seconds{job=~"fitmatrix.*"}', "{{instance}}")],
        "s",
    )
    yield lines(
        "Leases, streams and notices",
        "Attempts that hold a device, readers of the event stream, notices that wait for their webhooks.",
        [
            over_time("fitmatrix_leases", "leases"),
            over_time("fitmatrix_leases_overdue", "leases overdue", ref="B"),
            over_time("fitmatrix_event_streams", "event streams", ref="C"),
            over_time("fitmatrix_webhook_pending_deliveries", "notices", ref="D"),
        ],
    )
    yield lines(
        "Free disk of the coordinator",
        "Of the disk with its data directory.",
        [over_time("fitmatrix_storage_free_bytes", "free"), over_time("fitmatrix_storage_bytes", "size", ref="B")],
        "bytes",
    )
