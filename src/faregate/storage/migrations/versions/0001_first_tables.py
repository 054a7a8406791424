"""The first tables. History is not edited: a later change is a revision of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_INSTANT = sa.BigInteger
_EXACT = sa.Text
_UNITS = sa.BigInteger
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    _create_application()
    _create_events()
    _create_catalog()
    _create_customers()
    _create_usage()
    _create_money()
    _create_billing()
    _create_governance()


def downgrade() -> None:
    """Refuse: there is nothing before the first tables."""
    raise NotImplementedError("the first revision cannot be undone; restore a backup instead")


def _create_application() -> None:
    op.create_table(
        "application",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("collector_id_hash", sa.Text, nullable=False, unique=True),
        sa.Column("clock_offset_us", _UNITS, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
    )
    op.create_table(
        "operator",
        sa.Column("login", sa.Text, primary_key=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
    )
    op.create_table(
        "api_token",
        sa.Column("token_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("token_hash", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
    )


def _create_events() -> None:
    op.create_table(
        "event_log",
        sa.Column("position", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("ingested_at", _INSTANT, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "event_identity",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("identity", sa.LargeBinary(16), primary_key=True),
        sa.Column("content_hash", sa.LargeBinary(16), nullable=False),
        sa.Column("position", _UNITS, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "consumer",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("position", _UNITS, nullable=False),
    )
    op.create_table(
        "set_aside",
        sa.Column("position", _UNITS, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )


def _create_catalog() -> None:
    op.create_table(
        "plan",
        sa.Column("plan_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("application_id", "name"),
    )
    op.create_table(
        "price",
        sa.Column("price_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("package_amount", _EXACT, nullable=False),
        sa.Column("package_size", _EXACT, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("tax_behavior", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("plan_id", "name"),
    )
    op.create_table(
        "meter",
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("price_id", sa.Text, nullable=False),
        sa.Column("conditions", sa.Text, nullable=False),
        sa.Column("sum_path", sa.Text, nullable=False),
        sa.Column("reporting_period_s", sa.Integer, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("application_id", "name"),
    )
    op.create_table(
        "route",
        sa.Column("route_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("application_id", "name"),
    )


def _create_customers() -> None:
    op.create_table(
        "company",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("company_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
    )
    op.create_table(
        "customer_user",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
    )
    op.create_table(
        "api_key",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("hint", sa.Text, nullable=False),
        sa.Column("key_hash", sa.Text, nullable=False, unique=True),
        sa.Column("replay", sa.Boolean, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("revoked_at", _INSTANT),
    )
    op.create_table(
        "subscription",
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("pays", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("payment_terms_s", sa.Integer, nullable=False),
        sa.Column("billed_until", _INSTANT, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("application_id", "company_id", "plan_id"),
    )


def _create_usage() -> None:
    op.create_table(
        "usage_window",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("company_id", sa.Text, primary_key=True),
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("start_at", _INSTANT, primary_key=True),
        sa.Column("end_at", _INSTANT, nullable=False),
        sa.Column("period_start", _INSTANT, nullable=False),
        sa.Column("quantity", _EXACT, nullable=False),
        sa.Column("event_count", _UNITS, nullable=False),
        sa.Column("reported_quantity", _EXACT, nullable=False),
        sa.Column("reported_revision", sa.Integer, nullable=False),
        sa.Column("dirty", sa.Boolean, nullable=False),
    )
    op.create_index("usage_window_dirty", "usage_window", ["dirty", "end_at"])
    op.create_table(
        "charge",
        sa.Column("position", _UNITS, primary_key=True),
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("price_id", sa.Text, nullable=False),
        sa.Column("occurred_at", _INSTANT, nullable=False),
        sa.Column("quantity", _EXACT, nullable=False),
        sa.Column("amount", _UNITS, nullable=False),
        sa.Column("entry_id", _UNITS),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "unmeterable",
        sa.Column("position", _UNITS, primary_key=True),
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )


def _create_money() -> None:
    op.create_table(
        "account",
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("balance", _UNITS, nullable=False),
        sa.Column("reserved", _UNITS, nullable=False),
        sa.Column("exhausted", sa.Boolean, nullable=False),
    )
    op.create_table(
        "price_total",
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("price_id", sa.Text, primary_key=True),
        sa.Column("period_start", _INSTANT, primary_key=True),
        sa.Column("period_end", _INSTANT, nullable=False),
        sa.Column("settled", _EXACT, nullable=False),
        sa.Column("outstanding", _UNITS, nullable=False),
        sa.Column("debited", _UNITS, nullable=False),
        sa.Column("reserved", _UNITS, nullable=False),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("entry_id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("amount", _UNITS, nullable=False),
        sa.Column("caller_id", sa.Text, nullable=False),
        sa.Column("price_id", sa.Text),
        sa.Column("period_start", _INSTANT),
        sa.Column("quantity", _EXACT),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("occurred_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("subscription_id", "caller_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "credit_grant",
        sa.Column("grant_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("amount", _UNITS, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("caller_id", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("subscription_id", "caller_id"),
    )
    op.create_table(
        "gateway",
        sa.Column("gateway_id", sa.Text, primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("applied_sequence", _UNITS, nullable=False),
        sa.Column("release_through", _UNITS),
        sa.Column("seen_at", _INSTANT, nullable=False),
    )
    op.create_table(
        "lease",
        sa.Column("lease_id", sa.Text, primary_key=True),
        sa.Column("lease_request_id", sa.Text, nullable=False),
        sa.Column("gateway_id", sa.Text, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("price_id", sa.Text, nullable=False),
        sa.Column("period_start", _INSTANT, nullable=False),
        sa.Column("period_end", _INSTANT, nullable=False),
        sa.Column("granted_units", _UNITS, nullable=False),
        sa.Column("drawn_units", _UNITS, nullable=False),
        sa.Column("returned_units", _UNITS, nullable=False),
        sa.Column("duration_ms", sa.Integer, nullable=False),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("lease_request_id", "price_id"),
    )
    op.create_index("lease_open", "lease", ["gateway_id", "is_open", "epoch"])


def _create_billing() -> None:
    op.create_table(
        "outbox",
        sa.Column("outbox_id", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False, unique=True),
        sa.Column("subscription_id", sa.Text, nullable=False, server_default=""),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.Column("delivered_at", _INSTANT),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("last_error", sa.Text),
        sa.Column("retry_at", _INSTANT),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "outbox_waiting",
        "outbox",
        ["outbox_id"],
        sqlite_where=sa.text("delivered_at IS NULL"),
        postgresql_where=sa.text("delivered_at IS NULL"),
    )
    op.create_table(
        "invoice",
        sa.Column("invoice_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("subscription_id", sa.Text, nullable=False),
        sa.Column("company_id", sa.Text, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("period_start", _INSTANT, nullable=False),
        sa.Column("period_end", _INSTANT, nullable=False),
        sa.Column("lines", sa.Text, nullable=False),
        sa.Column("total", _UNITS, nullable=False),
        sa.Column("credit_applied", _UNITS, nullable=False),
        sa.Column("amount_due", _UNITS, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("issued_at", _INSTANT, nullable=False),
        sa.Column("due_at", _INSTANT, nullable=False),
        sa.Column("paid_at", _INSTANT),
        sa.UniqueConstraint("subscription_id", "period_start"),
    )
    op.create_index("invoice_company", "invoice", ["application_id", "company_id"])
    op.create_index("invoice_due", "invoice", ["application_id", "status", "due_at"])


def _create_governance() -> None:
    op.create_table(
        "rule",
        sa.Column("rule_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("cohort", sa.Text, nullable=False),
        sa.Column("block_what", sa.Text, nullable=False),
        sa.Column("refusal", sa.Text, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("application_id", "name"),
    )
    op.create_table(
        "membership",
        sa.Column("application_id", sa.Text, primary_key=True),
        sa.Column("company_id", sa.Text, primary_key=True),
        sa.Column("cohorts", sa.Text, nullable=False),
    )
    op.create_table(
        "state_change",
        sa.Column("version", _SERIAL, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("entity_id", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("state_change_kind", "state_change", ["kind", "version"])
