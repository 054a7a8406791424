"""Use cases: one decision a file, each in one transaction.

Owns: the order in which rows are read, the core is asked, and rows are written. Does not own: SQL (`storage`), business
rules (`domain`), HTTP, processes (`apps`).
Invariants: a service takes the open transaction first, performs no network call inside it, and takes every instant as
an argument. First file to read: `apply_events.py`, then `leases.py`.
"""
