"""Several browsers of one device, its condition and health, quarantine, health runs, and marks of runs.

What contract version 2 wrote of devices is brought into the words of version 3.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

HEALTH_INTERVAL = timedelta(hours=24)
SYSTEMS = {"macos": "macos", "darwin": "macos", "windows": "windows", "android": "android"}

devices = sa.table(
    "devices",
    sa.column("id", sa.String),
    sa.column("available", sa.Boolean),
    sa.column("condition", sa.String),
    sa.column("registration", sa.JSON),
    sa.column("probe", sa.JSON),
    sa.column("probes", sa.JSON),
    sa.column("next_health_run_at", sa.DateTime(timezone=True)),
)
runs = sa.table(
    "runs",
    sa.column("device_id", sa.String),
    sa.column("browser", sa.String),
    sa.column("state", sa.String),
    sa.column("attempts", sa.Integer),
    sa.column("spoiled", sa.Integer),
)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("purpose", sa.String(length=200), nullable=False, server_default="measure"))
    of_runs: list[sa.Column[Any]] = [
        sa.Column("browser", sa.String(length=200), nullable=False, server_default="unknown"),
        sa.Column("purpose", sa.String(length=200), nullable=False, server_default="measure"),
        sa.Column("spoiled", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("returns", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("marks", sa.JSON(), nullable=False, server_default="[]"),
    ]
    for column in of_runs:
        op.add_column("runs", column)
    of_devices: list[sa.Column[Any]] = [
        sa.Column("condition", sa.String(length=200), nullable=False, server_default="offline"),
        sa.Column("health", sa.JSON(), nullable=True),
        sa.Column("probes", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("infrastructure_faults", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("failed_health_runs", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("next_health_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quarantined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("quarantine_reason", sa.String(length=25_000), nullable=False, server_default=""),
    ]
    for column in of_devices:
        op.add_column("devices", column)
    _translate(op.get_bind())
    # Jobs and runs keep their defaults: SQLite would have to copy tables that others refer to.
    with op.batch_alter_table("devices") as table:
        table.drop_column("available")
        table.drop_column("probe")
        table.alter_column("next_health_run_at", existing_type=sa.DateTime(timezone=True), nullable=False)
        for name in ("condition", "probes", "infrastructure_faults", "failed_health_runs", "quarantine_reason"):
            table.alter_column(name, server_default=None)


def _translate(connection: sa.Connection) -> None:
    first_health_run = datetime.now(UTC) + HEALTH_INTERVAL
    known = sa.select(devices.c.id, devices.c.available, devices.c.registration, devices.c.probe)
    for row in connection.execute(known).all():
        registration = {**row.registration, "facts": facts_of_version_3(row.registration["facts"])}
        (browser,) = registration["facts"]["browsers"]
        name = browser_id(browser)
        probes = {name: {**row.probe, "browser": browser_of_version_3(row.probe["browser"])}} if row.probe else {}
        connection.execute(
            sa.update(devices)
            .where(devices.c.id == row.id)
            .values(
                condition="ready" if row.available else "offline",
                registration=registration,
                probes=probes,
                next_health_run_at=first_health_run,
            )
        )
        connection.execute(sa.update(runs).where(runs.c.device_id == row.id).values(browser=name))
    # Every attempt but the one under way, or the one that gave the result, had been spoiled.
    all_spoiled = runs.c.state.in_(["queued", "inconclusive"])
    connection.execute(sa.update(runs).where(all_spoiled).values(spoiled=runs.c.attempts))
    connection.execute(sa.update(runs).where(~all_spoiled).values(spoiled=runs.c.attempts - 1))


def facts_of_version_3(facts: dict[str, Any]) -> dict[str, Any]:
    """`{"os": "Debian GNU/Linux", "os_version": "12", "browser": …}` with the words of contract version 3."""
    kept = {name: value for name, value in facts.items() if name != "browser"}
    system = SYSTEMS.get(facts["os"].lower(), "linux")
    if system == "linux" and facts["os"].lower() != "linux":
        kept["os_version"] = f"{facts['os']} {facts['os_version']}"[:120]
    return kept | {"os": system, "browsers": [browser_of_version_3(facts["browser"])]}


def browser_of_version_3(browser: dict[str, Any]) -> dict[str, Any]:
    """Names and channels have become short lower-case words."""

    def word(text: str, otherwise: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower())[:20] or otherwise

    name, channel = word(browser["name"], "unknown"), word(browser.get("channel", ""), "stable")
    return {**browser, "name": name, "channel": channel}


def browser_id(browser: dict[str, Any]) -> str:
    return browser["name"] if browser["channel"] == "stable" else f"{browser['name']}-{browser['channel']}"


def downgrade() -> None:
    raise NotImplementedError("version 2 has no word for a device with several browsers: restore a backup")
