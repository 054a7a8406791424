"""The embedded billing provider: a small service with its own database file, in Stripe's words.

Owns: customers, prices, subscriptions, meter events, credit grants and invoices as a provider keeps them, and its own
arithmetic. Does not own: anything of Faregate's ledger; it knows only what it was told.
Invariants: an object's lookup key (ours) names it once; a meter event's identifier counts once; an invoice's lines come
from the meter events received, by whole numbers and fractions; invoice numbers have no gap; a finalized invoice changes
only by being paid.
First file to read: `provider.py`, then `invoicing.py`.
"""
