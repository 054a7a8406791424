"""Every table. Read from the top: it follows an event's way to money and to a decision."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    and_,
    literal_column,
)

from faregate.storage.columns import Digest, Exact, Instant, Serial, Units

metadata = MetaData()

# --- the application and who operates it --------------------------------------------------------------------------

application = Table(
    "application",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("collector_id_hash", Text, nullable=False, unique=True),
    Column("clock_offset_us", Units, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("leases_from", Instant),
    Column("provider_account", Text),
    Column("provider_is_live", Boolean),
)

operator = Table(
    "operator",
    metadata,
    Column("login", Text, primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

operator_session = Table(
    "operator_session",
    metadata,
    Column("session_hash", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("login", Text, nullable=False),
    Column("form_token", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("seen_at", Instant, nullable=False),
)

api_token = Table(
    "api_token",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

# --- events -------------------------------------------------------------------------------------------------------

event_log = Table(
    "event_log",
    metadata,
    Column("position", Serial, primary_key=True, autoincrement=True),
    Column("application_id", Text, nullable=False),
    Column("ingested_at", Instant, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

event_identity = Table(
    "event_identity",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("identity", Digest, primary_key=True),
    Column("content_hash", Digest, nullable=False),
    Column("position", Units, nullable=False),
    sqlite_with_rowid=False,
)

admitted_event = Table(
    "admitted_event",
    metadata,
    Column("position", Serial, primary_key=True, autoincrement=False),
    Column("application_id", Text, nullable=False),
    Column("company_id", Text),
    Column("occurred_at", Instant, nullable=False),
    Index("admitted_event_time", "application_id", "occurred_at"),
)

consumer = Table(
    "consumer",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", Units, nullable=False),
)

set_aside = Table(
    "set_aside",
    metadata,
    Column("position", Units, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
)

correction = Table(
    "correction",
    metadata,
    Column("position", Units, primary_key=True, autoincrement=False),
    Column("application_id", Text, nullable=False),
    Column("correction_id", Text, nullable=False),
    Column("event_position", Units, nullable=False, unique=True),
    Column("replacement_position", Units, unique=True),
    Column("company_id", Text),
    Column("occurred_at", Instant, nullable=False),
    Column("change", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("applied_at", Instant),
    UniqueConstraint("application_id", "correction_id"),
    Index("correction_time", "application_id", "occurred_at"),
)

# --- catalog and meters -------------------------------------------------------------------------------------------

plan = Table(
    "plan",
    metadata,
    Column("plan_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("application_id", "name"),
)

price = Table(
    "price",
    metadata,
    Column("price_id", Text, primary_key=True),
    Column("series_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("application_id", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("terms", Text, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("applies_to", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("tax_behavior", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("plan_id", "name", "version"),
    UniqueConstraint("series_id", "version"),
)

price_replacement = Table(
    "price_replacement",
    metadata,
    Column("price_id", Text, primary_key=True),
    Column("replaces", Text, nullable=False),
    Column("from_at", Instant, nullable=False),
    Column("to_at", Instant),
    Column("rerating_id", Text, nullable=False),
)

meter = Table(
    "meter",
    metadata,
    Column("meter_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("price_id", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("reporting_period", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("application_id", "name"),
)

route = Table(
    "route",
    metadata,
    Column("route_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("application_id", "name"),
)

# --- customers ----------------------------------------------------------------------------------------------------

company = Table(
    "company",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("company_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

user = Table(
    "customer_user",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

api_key = Table(
    "api_key",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("company_id", Text, nullable=False),
    Column("user_id", Text),
    Column("name", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("key_hash", Text, nullable=False, unique=True),
    Column("replay", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked_at", Instant),
)

subscription = Table(
    "subscription",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("company_id", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("pays", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("payment_terms_s", Integer, nullable=False),
    Column("cycle", Text, nullable=False, server_default=""),
    Column("billed_until", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("application_id", "company_id", "plan_id"),
)

# --- usage --------------------------------------------------------------------------------------------------------

usage_window = Table(
    "usage_window",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("company_id", Text, primary_key=True),
    Column("meter_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("start_at", Instant, primary_key=True),
    Column("group_key", Text, primary_key=True),
    Column("end_at", Instant, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("quantity", Exact, nullable=False),
    Column("state", Text),
    Column("billed_quantity", Exact, nullable=False),
    Column("event_count", Units, nullable=False),
    Column("reported_quantity", Exact, nullable=False),
    Column("reported_revision", Integer, nullable=False),
    Column("dirty", Boolean, nullable=False),
    Index("usage_window_dirty", "dirty", "end_at"),
)

usage_day = Table(
    "usage_day",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("company_id", Text, primary_key=True),
    Column("meter_id", Text, primary_key=True),
    Column("start_at", Instant, primary_key=True),
    Column("group_key", Text, primary_key=True),
    Column("end_at", Instant, nullable=False),
    Column("quantity", Exact, nullable=False),
    Column("state", Text),
    Column("event_count", Units, nullable=False),
    sqlite_with_rowid=False,
)

meter_total = Table(
    "meter_total",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    Column("meter_id", Text, primary_key=True),
    Column("period_start", Instant, primary_key=True),
    Column("group_key", Text, primary_key=True),
    Column("state", Text, nullable=False),
)

charge = Table(
    "charge",
    metadata,
    Column("position", Units, primary_key=True),
    Column("meter_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("company_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("price_id", Text, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    Column("quantity", Exact, nullable=False),
    Column("amount", Units, nullable=False),
    Column("entry_id", Units),
    sqlite_with_rowid=False,
)

unmeterable = Table(
    "unmeterable",
    metadata,
    Column("position", Units, primary_key=True),
    Column("meter_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

backfill = Table(
    "backfill",
    metadata,
    Column("backfill_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("meter_id", Text, nullable=False),
    Column("from_at", Instant, nullable=False),
    Column("to_at", Instant, nullable=False),
    Column("through", Units, nullable=False),
    Column("position", Units, nullable=False),
    Column("total", Units, nullable=False),
    Column("read", Units, nullable=False),
    Column("counted", Units, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Index("backfill_meter", "meter_id"),
)

# --- cost and margin ----------------------------------------------------------------------------------------------

cost_price = Table(
    "cost_price",
    metadata,
    Column("cost_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("terms", Text, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("ends_at", Instant),
    Column("created_at", Instant, nullable=False),
    Index("cost_price_name", "application_id", "name"),
)

margin_day = Table(
    "margin_day",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("day_at", Instant, primary_key=True),
    Column("company_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("key_id", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("event_count", Units, nullable=False),
    Column("uncosted_count", Units, nullable=False),
    Column("revenue", Units, nullable=False),
    Column("uncosted_revenue", Units, nullable=False),
    Column("cost", Units, nullable=False),
    Column("cost_rest", Units, nullable=False),
    sqlite_with_rowid=False,
)

margin_redo = Table(
    "margin_redo",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("day_at", Instant, primary_key=True),
    Column("through", Units),
    Column("after_us", Units, nullable=False),
    Column("after_position", Units, nullable=False),
)

bound_quality = Table(
    "bound_quality",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("route_id", Text, primary_key=True),
    Column("price_id", Text, primary_key=True),
    Column("day_at", Instant, primary_key=True),
    Column("calls", Units, nullable=False),
    Column("held", Exact, nullable=False),
    Column("used", Exact, nullable=False),
    Column("overshoots", Units, nullable=False),
    Column("clamped", Units, nullable=False),
    Column("estimated", Units, nullable=False),
    Column("by_step", Text, nullable=False),
    sqlite_with_rowid=False,
)

# --- money --------------------------------------------------------------------------------------------------------

account = Table(
    "account",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("balance", Units, nullable=False),
    Column("reserved", Units, nullable=False),
    Column("exhausted", Boolean, nullable=False),
    Column("overdraft", Units, nullable=False, server_default="0"),
    Column("next_border_at", Instant),
)
Index(
    "account_border",
    account.c.application_id,
    account.c.next_border_at,
    sqlite_where=account.c.next_border_at.is_not(None),
    postgresql_where=account.c.next_border_at.is_not(None),
)

price_total = Table(
    "price_total",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    Column("price_id", Text, primary_key=True),
    Column("period_start", Instant, primary_key=True),
    Column("period_end", Instant, nullable=False),
    Column("settled", Exact, nullable=False),
    Column("parts", Text, nullable=False),
    Column("outstanding", Units, nullable=False),
    Column("debited", Units, nullable=False),
    Column("reserved", Units, nullable=False),
)

ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("entry_id", Serial, primary_key=True, autoincrement=True),
    Column("application_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount", Units, nullable=False),
    Column("caller_id", Text, nullable=False),
    Column("price_id", Text),
    Column("period_start", Instant),
    Column("quantity", Exact),
    Column("description", Text, nullable=False),
    Column("occurred_at", Instant, nullable=False),
    UniqueConstraint("subscription_id", "caller_id"),
    sqlite_autoincrement=True,
)
_beside_usage = ledger_entry.c.kind != literal_column("'debit'")
Index(
    "ledger_entry_beside_usage",
    ledger_entry.c.application_id,
    ledger_entry.c.occurred_at,
    sqlite_where=_beside_usage,
    postgresql_where=_beside_usage,
)

grant = Table(
    "credit_grant",
    metadata,
    Column("grant_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("amount", Units, nullable=False),
    Column("kind", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("caller_id", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("effective_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("voided_at", Instant),
    Column("recurrence", Text, nullable=False),
    Column("rolls_over", Units, nullable=False),
    Column("phase", Text, nullable=False),
    Column("remaining", Units, nullable=False),
    Column("burnt", Units, nullable=False),
    Column("recurred_at", Instant),
    Column("is_live", Boolean, nullable=False),
    UniqueConstraint("subscription_id", "caller_id"),
)
Index(
    "credit_grant_live",
    grant.c.subscription_id,
    sqlite_where=grant.c.is_live,
    postgresql_where=grant.c.is_live,
)

grant_movement = Table(
    "grant_movement",
    metadata,
    Column("grant_id", Text, primary_key=True),
    Column("entry_id", Units, primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("amount", Units, nullable=False),
    Column("is_burn", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
Index(
    "grant_movement_beside_burns",
    grant_movement.c.entry_id,
    sqlite_where=~grant_movement.c.is_burn,
    postgresql_where=~grant_movement.c.is_burn,
)

gateway = Table(
    "gateway",
    metadata,
    Column("gateway_id", Text, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("applied_sequence", Units, nullable=False),
    Column("release_through", Units),
    Column("seen_at", Instant, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("lease_id", Text, primary_key=True),
    Column("lease_request_id", Text, nullable=False),
    Column("gateway_id", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("price_id", Text, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("period_end", Instant, nullable=False),
    Column("granted_units", Units, nullable=False),
    Column("drawn_units", Units, nullable=False),
    Column("returned_units", Units, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("lease_request_id", "price_id"),
    Index("lease_open", "gateway_id", "is_open", "epoch"),
)

Index(
    "lease_account",
    lease.c.subscription_id,
    sqlite_where=lease.c.is_open,
    postgresql_where=lease.c.is_open,
)

overspend = Table(
    "overspend",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    Column("cause", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("amount", Units, nullable=False),
    Column("times", Units, nullable=False),
    Column("last_at", Instant, nullable=False),
)

incident = Table(
    "incident",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("incident_id", Text, primary_key=True),
    Column("filter", Text, nullable=False),
    Column("from_at", Instant, nullable=False),
    Column("to_at", Instant, nullable=False),
    Column("percent", Exact, nullable=False),
    Column("reason", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("through", Units, nullable=False),
    Column("after_us", Units, nullable=False),
    Column("after_position", Units, nullable=False),
    Column("matched", Units, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("applied_at", Instant),
    Column("undone_at", Instant),
)

incident_line = Table(
    "incident_line",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("incident_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("price_id", Text, primary_key=True),
    Column("period_start", Instant, primary_key=True),
    Column("company_id", Text, nullable=False),
    Column("calls", Units, nullable=False),
    Column("quantity", Exact, nullable=False),
    Column("charged", Units, nullable=False),
    Column("already_credited", Units, nullable=False),
    Column("credit", Units, nullable=False),
    Column("entry_id", Units),
    Column("undo_entry_id", Units),
    Index("incident_line_total", "subscription_id", "price_id", "period_start"),
)

incident_call = Table(
    "incident_call",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("incident_id", Text, primary_key=True),
    Column("position", Units, primary_key=True, autoincrement=False),
    Column("meter_id", Text, primary_key=True),
    Column("credited", Boolean, nullable=False),
    sqlite_with_rowid=False,
)
_credited = incident_call.c.credited
Index(
    "incident_call_once",
    incident_call.c.position,
    incident_call.c.meter_id,
    unique=True,
    sqlite_where=_credited,
    postgresql_where=_credited,
)

# --- billing ------------------------------------------------------------------------------------------------------

auto_top_up = Table(
    "auto_top_up",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("below", Units, nullable=False),
    Column("amount", Units, nullable=False),
    Column("most", Units),
    Column("cool_off_us", Units, nullable=False),
    Column("set_at", Instant, nullable=False),
)

top_up = Table(
    "top_up",
    metadata,
    Column("top_up_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("amount", Units, nullable=False),
    Column("status", Text, nullable=False),
    Column("failure", Text),
    Column("grant_id", Text),
    Column("began_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", Instant),
    Index("top_up_subscription", "subscription_id", "top_up_id"),
)
_pending = top_up.c.status == literal_column("'pending'")
Index(
    "top_up_pending",
    top_up.c.subscription_id,
    unique=True,
    sqlite_where=_pending,
    postgresql_where=_pending,
)
"""An account has one payment under way."""

outbox = Table(
    "outbox",
    metadata,
    Column("outbox_id", Serial, primary_key=True, autoincrement=True),
    Column("application_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text, nullable=False, unique=True),
    Column("subscription_id", Text, nullable=False, server_default=""),
    Column("payload", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("delivered_at", Instant),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("last_error", Text),
    Column("retry_at", Instant),
    Column("usage_at", Instant),
    Column("failed_at", Instant),
    Column("failure", Text),
    Column("resends", Integer, nullable=False, server_default="0"),
    sqlite_autoincrement=True,
)
_waiting = outbox.c.delivered_at.is_(None)
Index(
    "outbox_waiting",
    outbox.c.subscription_id,
    outbox.c.outbox_id,
    sqlite_where=_waiting,
    postgresql_where=_waiting,
)
_due = and_(_waiting, outbox.c.failed_at.is_(None))
Index(
    "outbox_due",
    outbox.c.application_id,
    outbox.c.subscription_id,
    outbox.c.outbox_id,
    sqlite_where=_due,
    postgresql_where=_due,
)
_is_usage = outbox.c.usage_at.is_not(None)
Index(
    "outbox_usage",
    outbox.c.application_id,
    outbox.c.usage_at,
    sqlite_where=_is_usage,
    postgresql_where=_is_usage,
)

reconciliation = Table(
    "reconciliation",
    metadata,
    Column("reconciliation_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("checked_at", Instant, nullable=False),
    Column("document", Text, nullable=False),
    Index("reconciliation_last", "application_id", "reconciliation_id"),
)

invoice = Table(
    "invoice",
    metadata,
    Column("invoice_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("company_id", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("period_end", Instant, nullable=False),
    Column("lines", Text, nullable=False),
    Column("total", Units, nullable=False),
    Column("credit_applied", Units, nullable=False),
    Column("amount_due", Units, nullable=False),
    Column("status", Text, nullable=False),
    Column("issued_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("paid_at", Instant),
    UniqueConstraint("subscription_id", "period_start"),
    Index("invoice_due", "application_id", "status", "due_at"),
    Index("invoice_company", "application_id", "company_id"),
)

price_bill = Table(
    "price_bill",
    metadata,
    Column("subscription_id", Text, primary_key=True),
    Column("price_id", Text, primary_key=True),
    Column("period_start", Instant, primary_key=True),
    Column("owed", Units, nullable=False),
    Column("billed", Units, nullable=False),
    Column("rounding", Units, nullable=False),
)

adjustment = Table(
    "adjustment",
    metadata,
    Column("adjustment_id", Serial, primary_key=True, autoincrement=True),
    Column("application_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("price_id", Text, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("source", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("quantity", Exact, nullable=False),
    Column("amount", Units, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("billed_in", Instant),
    UniqueConstraint("subscription_id", "price_id", "period_start", "source", "source_id"),
    sqlite_autoincrement=True,
)

invoice_discount = Table(
    "invoice_discount",
    metadata,
    Column("invoice_id", Text, primary_key=True),
    Column("redemption_id", Text, primary_key=True),
    Column("place", Integer, nullable=False),
    Column("coupon_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("amount", Units, nullable=False),
)

coupon = Table(
    "coupon",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("coupon_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("percent", Exact),
    Column("amount", Units),
    Column("currency", Text),
    Column("periods", Integer),
    Column("redeem_by", Instant),
    Column("max_redemptions", Integer),
    Column("redemptions", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("archived_at", Instant),
)

redemption = Table(
    "redemption",
    metadata,
    Column("place", Serial, primary_key=True, autoincrement=True),
    Column("redemption_id", Text, nullable=False, unique=True),
    Column("application_id", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("coupon_id", Text, nullable=False),
    Column("caller_id", Text, nullable=False),
    Column("used", Integer, nullable=False),
    Column("given_at", Instant, nullable=False),
    Column("removed_at", Instant),
    UniqueConstraint("subscription_id", "caller_id"),
    sqlite_autoincrement=True,
)

meter_change = Table(
    "meter_change",
    metadata,
    Column("change_id", Serial, primary_key=True, autoincrement=True),
    Column("meter_id", Text, nullable=False),
    Column("position", Units, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("from_at", Instant),
    Column("to_at", Instant),
    Index("meter_change_meter", "meter_id"),
    sqlite_autoincrement=True,
)

rerating = Table(
    "rerating",
    metadata,
    Column("rerating_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("series_id", Text, nullable=False),
    Column("meter_id", Text),
    Column("price_id", Text),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("from_at", Instant, nullable=False),
    Column("to_at", Instant),
    Column("through", Units, nullable=False),
    Column("digest", Text, nullable=False),
    Column("position", Units),
    Column("done_through", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("applied_at", Instant),
    Index("rerating_series", "series_id", "status"),
)

rerating_difference = Table(
    "rerating_difference",
    metadata,
    Column("rerating_id", Text, primary_key=True),
    Column("company_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("period_start", Instant, primary_key=True),
    Column("period_end", Instant, nullable=False),
    Column("currency", Text, nullable=False),
    Column("is_invoiced", Boolean, nullable=False),
    Column("quantity_before", Exact, nullable=False),
    Column("quantity_after", Exact, nullable=False),
    Column("amount_before", Units, nullable=False),
    Column("amount_after", Units, nullable=False),
)

# --- governance ---------------------------------------------------------------------------------------------------

rule = Table(
    "rule",
    metadata,
    Column("rule_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("template", Text, nullable=False),
    Column("cohort", Text, nullable=False),
    Column("block_what", Text, nullable=False),
    Column("refusal", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("application_id", "name"),
)

membership = Table(
    "membership",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("company_id", Text, primary_key=True),
    Column("cohorts", Text, nullable=False),
)

usage_limit = Table(
    "usage_limit",
    metadata,
    Column("limit_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("subject_id", Text),
    Column("plan_id", Text),
    Column("measure", Text, nullable=False),
    Column("currency", Text),
    Column("meter_id", Text),
    Column("per", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("amount", Exact, nullable=False),
    Column("hard", Boolean, nullable=False),
    Column("routes", Text, nullable=False),
    Column("alert_at", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("application_id", "name"),
)

limit_use = Table(
    "limit_use",
    metadata,
    Column("limit_id", Text, primary_key=True),
    Column("subject_id", Text, primary_key=True),
    Column("period_start", Instant, primary_key=True),
    Column("period_end", Instant, nullable=False),
    Column("company_id", Text, nullable=False),
    Column("used", Exact, nullable=False),
    Column("reached", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

alert = Table(
    "alert",
    metadata,
    Column("alert_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("source_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("company_id", Text, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("period_end", Instant),
    Column("percent", Integer),
    Column("measured", Exact, nullable=False),
    Column("amount", Exact, nullable=False),
    Column("unit", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index("alert_source", "source_id", "subject_id", "period_start"),
)

alert_destination = Table(
    "alert_destination",
    metadata,
    Column("destination_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("application_id", "address"),
)

alert_delivery = Table(
    "alert_delivery",
    metadata,
    Column("delivery_id", Serial, primary_key=True, autoincrement=True),
    Column("alert_id", Text, nullable=False),
    Column("destination_id", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", Instant),
    Column("delivered_at", Instant),
    Column("gave_up_at", Instant),
    Column("last_error", Text),
    UniqueConstraint("alert_id", "destination_id"),
    sqlite_autoincrement=True,
)
_undelivered = and_(alert_delivery.c.delivered_at.is_(None), alert_delivery.c.gave_up_at.is_(None))
Index("alert_delivery_waiting", alert_delivery.c.delivery_id, sqlite_where=_undelivered, postgresql_where=_undelivered)

balance_alert = Table(
    "balance_alert",
    metadata,
    Column("balance_alert_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("subscription_id", Text),
    Column("below_amount", Exact),
    Column("currency", Text),
    Column("below_percent", Integer),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("application_id", "name"),
)

low_balance = Table(
    "low_balance",
    metadata,
    Column("balance_alert_id", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("since", Instant, nullable=False),
)

catalog_sync = Table(
    "catalog_sync",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("our_id", Text, primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("synced_revision", Integer, nullable=False),
    Column("account", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("changes_at", Instant),
    Column("retry_at", Instant),
    Column("synced_at", Instant),
    Column("looked_at", Instant),
    Column("last_error", Text),
    Column("drift", Text, nullable=False),
)

archived_plan = Table(
    "archived_plan",
    metadata,
    Column("plan_id", Text, primary_key=True),
    Column("archived_at", Instant, nullable=False),
)

provider_link = Table(
    "provider_link",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("our_id", Text, primary_key=True),
    Column("provider_id", Text, nullable=False),
    Column("linked_at", Instant, nullable=False),
    Index("provider_link_object", "account", "kind", "provider_id", "application_id", unique=True),
)

state_change = Table(
    "state_change",
    metadata,
    Column("version", Serial, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("entity_id", Text, nullable=False),
    Index("state_change_kind", "kind", "version"),
    sqlite_autoincrement=True,
)

provider_event = Table(
    "provider_event",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("is_live", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("source", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retry_at", Instant),
    Column("worked_at", Instant),
    Column("failed_at", Instant),
    Column("outcome", Text, nullable=False),
    Column("last_error", Text),
    Index("provider_event_newest", "application_id", "received_at", "event_id"),
)
_unworked = and_(provider_event.c.worked_at.is_(None), provider_event.c.failed_at.is_(None))
Index(
    "provider_event_waiting",
    provider_event.c.received_at,
    provider_event.c.event_id,
    sqlite_where=_unworked,
    postgresql_where=_unworked,
)

provider_invoice = Table(
    "provider_invoice",
    metadata,
    Column("invoice_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("company_id", Text, nullable=False),
    Column("number", Text),
    Column("currency", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("collection", Text, nullable=False),
    Column("amount_due", Units, nullable=False),
    Column("amount_paid", Units, nullable=False),
    Column("amount_remaining", Units, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("due_at", Instant),
    Column("paid_at", Instant),
    Column("overdue_from", Instant),
    Column("page_url", Text),
)
Index(
    "provider_invoice_overdue",
    provider_invoice.c.application_id,
    provider_invoice.c.overdue_from,
    sqlite_where=provider_invoice.c.overdue_from.is_not(None),
    postgresql_where=provider_invoice.c.overdue_from.is_not(None),
)

provider_subscription = Table(
    "provider_subscription",
    metadata,
    Column("provider_subscription_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("company_id", Text, nullable=False),
    Column("subscription_id", Text),
    Column("status", Text, nullable=False),
    Column("overdue_from", Instant),
    Column("cancel_at", Instant),
    Column("ended_at", Instant),
)
Index(
    "provider_subscription_overdue",
    provider_subscription.c.application_id,
    provider_subscription.c.overdue_from,
    sqlite_where=provider_subscription.c.overdue_from.is_not(None),
    postgresql_where=provider_subscription.c.overdue_from.is_not(None),
)

checkout = Table(
    "checkout",
    metadata,
    Column("checkout_id", Text, primary_key=True),
    Column("application_id", Text, nullable=False),
    Column("caller_id", Text, nullable=False),
    Column("company_id", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("pays", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", Units, nullable=False),
    Column("success_url", Text, nullable=False),
    Column("cancel_url", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("session_id", Text),
    Column("url", Text),
    Column("expires_at", Instant),
    Column("grant_id", Text),
    Column("created_at", Instant, nullable=False),
    UniqueConstraint("application_id", "caller_id"),
    Index("checkout_company", "application_id", "company_id", "checkout_id"),
)
_open_checkout = checkout.c.phase == literal_column("'open'")
Index(
    "checkout_open",
    checkout.c.subscription_id,
    sqlite_where=_open_checkout,
    postgresql_where=_open_checkout,
)

provider_cursor = Table(
    "provider_cursor",
    metadata,
    Column("application_id", Text, primary_key=True),
    Column("polled_to", Instant, nullable=False),
)
