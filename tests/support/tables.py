"""All tables in a test's database."""

from sqlalchemy import inspect

from faregate.storage.database import Transaction
from faregate.storage.tables import application, metadata


def ensure_tables(transaction: Transaction) -> None:
    """Make all tables, unless the database was made as a copy of one that has them."""
    if not inspect(transaction).has_table(application.name):
        metadata.create_all(transaction)
