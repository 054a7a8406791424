"""Usage: which events a meter counts, how much each counts for, and the window it falls in.

Owns: the event as the core sees it, field paths, filters, metrics, aggregates, meters. Does not own: the wire's shapes
(`wire`), prices.
Invariants: an event is immutable; a field that is missing, null or not a number is never counted as zero; aggregates
merge in any order and grouping.
First file to read: `event.py`.
"""
