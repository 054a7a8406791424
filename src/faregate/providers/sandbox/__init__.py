"""Stripe's API for whoever has no account: persistent, on this machine, spoken to by the official SDK.

Owns: objects and their states as Stripe shows them, what is refused and in which words, keys for repeats, events.
Does not own: any rule of Faregate's; it knows nothing but what it is asked.
Invariants: a request changes everything or nothing; parameters are those of the SDK that is installed.
First file to read: `api.py`, then `meters.py`.
"""
