"""Who buys and who calls: companies, users, keys and subscriptions.

Owns: those shapes and when a subscription's billing periods run. Does not own: credit (`ledger`), access
(`governance`).
Invariants: a subscription never changes its currency, anchor or way of paying.
First file to read: `subscription.py`.
"""
