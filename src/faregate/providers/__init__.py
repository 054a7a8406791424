"""Billing providers: who issues invoices and takes payments.

Owns: the embedded provider, the adapter to Stripe in `stripe`, Stripe's API in `sandbox`, the files they keep. Does not
own: what is reported and when (`services`), our own prices and ledger (`domain`).
Invariants: a provider never reads Faregate's database; every call is repeatable by the caller's key.
First file to read: `embedded/provider.py`.
"""
