"""Faregate: meter API traffic, price it, bill it, and stop callers who can no longer pay.

The way of one call through the packages:

1. `apps.gateway` identifies the caller, takes a hold on prepaid credit, forwards the call, reads its usage as it passes
   and writes the event.
2. `apps.collector` takes events over HTTP; `wire` gives their shapes (and those of every other outside protocol).
3. `services` decides, one use case a file and each in one transaction: take events in, close a usage window, rate it,
   move the ledger, bring a billing provider up to date.
4. `storage` keeps the rows, in SQLite or PostgreSQL. Effects and the position that caused them commit together.
5. `domain` holds the rules those steps apply, as pure functions: catalog, pricing, metering, ledger, customers,
   governance, billing.
6. `base` holds what all of them share: ids, the clock, money, periods, limits, the error tree.
7. `providers` carries the result to who collects the money.

Imports point one way: apps -> services -> storage -> domain -> base; apps -> providers -> wire -> domain -> base;
services -> wire. Read `faregate.domain` first; nothing in it depends on a process, a database or a network.
"""
