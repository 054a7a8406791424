"""Stripe, through its official SDK: Stripe itself, or the sandbox on this machine, which nothing here tells apart.

Owns: how a call is made, repeated and told when it fails; what Faregate's catalog, customers, usage, credit and
invoices are in Stripe's words. Does not own: what is told and when (`services`), our ids of Stripe's objects (`storage`
keeps them; calls are given them and return the new ones).
Invariants: every call may be made again; no key is in an error or a log; the SDK is loaded by the first call.
First file to read: `client.py`, then `billing.py`.
"""
