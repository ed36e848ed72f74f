"""Submitters, tokens and codes, events, webhooks, the audit log, reservations, and what estimates need."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

devices = sa.table(
    "devices",
    sa.column("id", sa.String),
    sa.column("registration", sa.JSON),
    sa.column("exclusive_group", sa.String),
    sa.column("model", sa.String),
    sa.column("kind", sa.String),
)


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=200), nullable=False),
        sa.Column("subject", sa.String(length=500), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("webhook", sa.String(length=200), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=200), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answer", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
    )
    op.create_index("ix_deliveries_state_due_at", "deliveries", ["state", "due_at"], unique=False)
    op.create_index(op.f("ix_deliveries_webhook"), "deliveries", ["webhook"], unique=False)
    op.create_table(
        "device_health_samples",
        sa.Column("device_id", sa.String(length=200), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("battery_level", sa.Double(), nullable=True),
        sa.Column("battery_temperature_celsius", sa.Double(), nullable=True),
        sa.Column("thermal_status", sa.String(length=200), nullable=True),
        sa.Column("free_storage_bytes", sa.BigInteger(), nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("device_id", "at", name=op.f("pk_device_health_samples")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_device_health_samples_at"), "device_health_samples", ["at"], unique=False)
    op.create_table(
        "durations",
        sa.Column("variant_digest", sa.String(length=200), nullable=False),
        sa.Column("backend", sa.String(length=200), nullable=False),
        sa.Column("device_model", sa.String(length=200), nullable=False),
        sa.Column("variant_bytes", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("variant_digest", "backend", "device_model", name=op.f("pk_durations")),
    )
    op.create_table(
        "enrolment_codes",
        sa.Column("digest", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_by", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_enrolment_codes")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("topic", sa.String(length=200), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("job_id", sa.String(length=200), nullable=True),
        sa.Column("device_id", sa.String(length=200), nullable=True),
        sa.Column("state", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_events_at"), "events", ["at"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(length=200), nullable=False),
        sa.Column("token_digest", sa.String(length=200), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sessions")),
    )
    op.create_table(
        "submitters",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("used_seconds", sa.Double(), nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_submitters")),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_tokens_digest")),
        sa.UniqueConstraint("name", name=op.f("uq_tokens_name")),
    )
    op.create_table(
        "imports",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("format", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("cells", sa.JSON(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("left_out", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_imports")),
    )
    op.create_table(
        "audiences",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("segments", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audiences")),
    )
    op.create_table(
        "webhooks",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("secret", sa.String(length=200), nullable=False),
        sa.Column("notices", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_webhooks")),
    )
    op.add_column("devices", sa.Column("reserved_until", sa.DateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix_devices_reserved_until"), "devices", ["reserved_until"], unique=False)
    op.add_column("devices", sa.Column("reserved_by", sa.String(length=200), nullable=True))
    op.add_column("devices", sa.Column("reservation_note", sa.String(length=1000), nullable=True))
    op.add_column("devices", sa.Column("drained_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("devices", sa.Column("drained_by", sa.String(length=200), nullable=True))
    op.add_column("devices", sa.Column("drain_note", sa.String(length=1000), nullable=True))
    op.add_column("agents", sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("agents", sa.Column("metrics_address", sa.String(length=200), nullable=True))
    op.add_column("jobs", sa.Column("submitter", sa.String(length=200), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("submitter", sa.String(length=200), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("reused_from", sa.String(length=200), nullable=True))
    op.add_column("runs", sa.Column("browser_version", sa.String(length=200), nullable=True))
    op.add_column("attempts", sa.Column("start_nonce", sa.String(length=200), nullable=True))
    op.drop_index(op.f("ix_runs_queue"), table_name="runs")
    op.create_index(
        "ix_runs_queue",
        "runs",
        ["state", "device_id", "browser", "priority", "submitter", "job_created_at", "repeat", "variant_bytes"],
        unique=False,
    )
    op.create_index(
        "ix_runs_health",
        "runs",
        ["state", "device_id"],
        unique=False,
        sqlite_where=sa.text("purpose = 'health'"),
        postgresql_where=sa.text("purpose = 'health'"),
    )
    op.create_index(
        "ix_runs_state_finished_at",
        "runs",
        ["state", "finished_at"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NOT NULL"),
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.drop_index(op.f("ix_runs_job_id"), table_name="runs")
    op.create_index("ix_runs_job_id_state", "runs", ["job_id", "state"], unique=False)
    op.create_index(op.f("ix_leases_run_id"), "leases", ["run_id"], unique=False)
    _let_devices_be_found()
    op.create_index(
        "ix_runs_state_expires_at",
        "runs",
        ["state", "expires_at"],
        unique=False,
        sqlite_where=sa.text("attempts = 0"),
        postgresql_where=sa.text("attempts = 0"),
    )
    _count_runs()
    _let_cells_be_counted()
    op.create_table(
        "verdict_changes",
        sa.Column("before", sa.String(length=200), nullable=False),
        sa.Column("verdict", sa.String(length=200), nullable=False),
        sa.Column("backend", sa.String(length=200), nullable=False),
        sa.Column("emulated", sa.Boolean(), nullable=False),
        sa.Column("is_regression", sa.Boolean(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "before", "verdict", "backend", "emulated", "is_regression", name=op.f("pk_verdict_changes")
        ),
    )


def _count_runs() -> None:
    """Once; from now on every transaction keeps the counts."""
    op.create_table(
        "run_tallies",
        sa.Column("state", sa.String(length=200), nullable=False),
        sa.Column("verdict", sa.String(length=200), nullable=False),
        sa.Column("fault_code", sa.String(length=200), nullable=False),
        sa.Column("of_a_model", sa.Boolean(), nullable=False),
        sa.Column("device_id", sa.String(length=200), nullable=False),
        sa.Column("priority_class", sa.String(length=200), nullable=False),
        sa.Column("runs", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "state", "verdict", "fault_code", "of_a_model", "device_id", "priority_class", name=op.f("pk_run_tallies")
        ),
    )
    op.execute("""
        INSERT INTO run_tallies (state, verdict, fault_code, of_a_model, device_id, priority_class, runs)
        SELECT state, verdict, fault_code, of_a_model, device_id, priority_class, count(*)
        FROM (
          SELECT state,
            CASE WHEN state IN ('finished', 'inconclusive') THEN coalesce(verdict, '') ELSE '' END AS verdict,
            CASE WHEN state IN ('finished', 'inconclusive') THEN coalesce(fault_code, '') ELSE '' END AS fault_code,
            (variant_id <> 'probe' AND purpose = 'measure') AS of_a_model,
            CASE WHEN state = 'queued' THEN device_id ELSE '' END AS device_id,
            CASE WHEN state <> 'queued' THEN '' WHEN priority > 50 THEN 'high' WHEN priority < 50 THEN 'low'
              ELSE 'normal' END AS priority_class
          FROM runs WHERE reused_from IS NULL
        ) AS kinds
        GROUP BY state, verdict, fault_code, of_a_model, device_id, priority_class
    """)


def _let_devices_be_found() -> None:
    """What placement asks of devices becomes columns; when they were seen last is their agent's to tell."""
    for name in ("exclusive_group", "model", "kind", "facts_revision"):
        op.add_column("devices", sa.Column(name, sa.String(length=200), nullable=False, server_default=""))
    op.add_column("devices", sa.Column("health_at", sa.DateTime(timezone=True), nullable=True))
    op.drop_column("devices", "last_seen_at")
    connection = op.get_bind()
    for identifier, registration in connection.execute(sa.select(devices.c.id, devices.c.registration)).all():
        connection.execute(
            sa.update(devices)
            .where(devices.c.id == identifier)
            .values(
                exclusive_group=registration.get("exclusive_group") or identifier,
                model=registration["model"],
                kind=registration["kind"],
            )
        )
    op.create_index("ix_devices_model_kind", "devices", ["model", "kind"], unique=False)
    op.create_index(op.f("ix_devices_exclusive_group"), "devices", ["exclusive_group"], unique=False)


def _let_cells_be_counted() -> None:
    """Tallies are counted from the runs when the program opens the database."""
    op.add_column("cells", sa.Column("revision", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("cells", sa.Column("tally", sa.JSON(), nullable=True))
    op.add_column("cells", sa.Column("samples", sa.LargeBinary(), nullable=True))
    op.create_index(op.f("ix_cells_revision"), "cells", ["revision"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("version 3 has no tokens: going back would open what they protect; restore a backup")
