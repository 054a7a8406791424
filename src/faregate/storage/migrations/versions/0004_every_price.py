"""Prices of any model, in versions and currencies: their terms are one text; totals are kept by dimension."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_INSTANT = sa.BigInteger
_EXACT = sa.Text
_UNITS = sa.BigInteger


def upgrade() -> None:
    """Make the tables anew: a column that is added to a table stands behind its constraints in SQLite's text."""
    _remake_prices()
    _remake_totals()


def downgrade() -> None:
    """Refuse: the older tables cannot say what a price of today costs."""
    raise NotImplementedError("prices cannot be undone; restore a backup instead")


def _remake_prices() -> None:
    rows = op.get_bind().execute(sa.text("SELECT * FROM price")).mappings().all()
    op.drop_table("price")
    price = op.create_table(
        "price",
        sa.Column("price_id", sa.Text, primary_key=True),
        sa.Column("series_id", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("terms", sa.Text, nullable=False),
        sa.Column("effective_at", _INSTANT, nullable=False),
        sa.Column("applies_to", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("tax_behavior", sa.Text, nullable=False),
        sa.Column("created_at", _INSTANT, nullable=False),
        sa.UniqueConstraint("plan_id", "name", "version"),
        sa.UniqueConstraint("series_id", "version"),
    )
    kept = ("price_id", "application_id", "plan_id", "name", "period", "currency", "tax_behavior", "created_at")
    if rows:
        op.bulk_insert(
            price,
            [
                {name: row[name] for name in kept}
                | {
                    "series_id": row["price_id"],
                    "version": 1,
                    "terms": _terms(row["currency"], row["package_amount"], row["package_size"]),
                    "effective_at": row["created_at"],
                    "applies_to": "all",
                }
                for row in rows
            ],
        )


def _remake_totals() -> None:
    op.execute("CREATE TABLE price_total_before AS SELECT * FROM price_total")
    op.drop_table("price_total")
    op.create_table(
        "price_total",
        sa.Column("subscription_id", sa.Text, primary_key=True),
        sa.Column("price_id", sa.Text, primary_key=True),
        sa.Column("period_start", _INSTANT, primary_key=True),
        sa.Column("period_end", _INSTANT, nullable=False),
        sa.Column("settled", _EXACT, nullable=False),
        sa.Column("parts", sa.Text, nullable=False),
        sa.Column("outstanding", _UNITS, nullable=False),
        sa.Column("debited", _UNITS, nullable=False),
        sa.Column("reserved", _UNITS, nullable=False),
    )
    kept = "subscription_id, price_id, period_start, period_end, settled, outstanding, debited, reserved"
    op.execute(
        f"INSERT INTO price_total ({kept}, parts) SELECT {kept}, '' FROM price_total_before"  # noqa: S608 - names of ours
    )
    op.drop_table("price_total_before")


def _terms(code: str, amount: str, size: str) -> str:
    """Return a package's terms as the text that keeps them."""
    model = {"type": "package", "amount": amount, "size": size, "round": "up"}
    return json.dumps({code: {"model": model}}, separators=(",", ":"))
