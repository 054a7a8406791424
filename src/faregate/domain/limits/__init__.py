"""How much a key, a user or a company may use, and when to say that they are near it.

Owns: what a limit is, the periods it is counted in, the minute that a gateway counts, how gateways share one limit, and
which alerts a step crosses. Does not own: counting usage (services), enforcing it (the gateway), delivering alerts.
Invariants: what the gateways together may use in any 60 seconds never exceeds the limit; an alert is crossed once.
First file to read: `limit.py`.
"""
