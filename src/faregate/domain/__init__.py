"""The pure core: an event becomes usage, usage becomes money, money becomes a decision.

Owns: every business rule. Does not own: storage, transport, clocks, randomness, logs.
Invariants: standard library and `faregate.base` only; values in, values out; no amount is ever a binary float.
First file to read: `metering/event.py`, then `metering/meter.py`, `pricing/rating.py`, `ledger/reserve.py`,
`governance/decision.py`.
"""
