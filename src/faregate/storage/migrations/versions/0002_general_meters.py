"""Meters with any filter, metric, grouping and units: their definition is one text."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_REPORTING_PERIODS = {60: "1m", 300: "5m", 900: "15m", 3_600: "1h", 86_400: "1d"}


def upgrade() -> None:
    """Make the table anew: a column that is added to a table would stand behind its constraints in SQLite's text."""
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT * FROM meter")).mappings().all()
    op.drop_table("meter")
    meter = op.create_table(
        "meter",
        sa.Column("meter_id", sa.Text, primary_key=True),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("price_id", sa.Text, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("reporting_period", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("application_id", "name"),
    )
    kept = ("meter_id", "application_id", "name", "price_id", "created_at")
    if rows:
        op.bulk_insert(
            meter,
            [
                {name: row[name] for name in kept}
                | {
                    "definition": _definition(row["conditions"], row["sum_path"]),
                    "reporting_period": _REPORTING_PERIODS[row["reporting_period_s"]],
                }
                for row in rows
            ],
        )


def downgrade() -> None:
    """Refuse: the older tables cannot say what a meter of today counts."""
    raise NotImplementedError("general meters cannot be undone; restore a backup instead")


def _definition(conditions: str, sum_path: str) -> str:
    """Return what the columns said: all of [path, value] equal, and the sum of a field."""
    parts = [f"{path} == {json.dumps(value, ensure_ascii=False)}" for path, value in json.loads(conditions)]
    document = {"filter": " and ".join(parts) or "true", "metric": {"type": "sum", "field": sum_path}}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
