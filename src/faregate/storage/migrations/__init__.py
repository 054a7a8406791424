"""The tables' history, one revision a file; `storage.schema` runs them, and `tables.py` is always the newest state."""
