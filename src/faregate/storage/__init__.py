"""State, in SQLite or PostgreSQL, from one code.

Owns: tables, migrations, the transaction, and every SQL statement. Does not own: any decision; functions here read and
write rows. Invariants: functions take the open transaction first; amounts are integers of ledger or minor units,
quantities and rates are text, instants are microseconds; ledger entries and events are never updated.
First file to read: `tables.py`, then `database.py`.
"""
