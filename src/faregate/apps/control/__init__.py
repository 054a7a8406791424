"""The control plane process: collector, gateway link, management API, workers, health and metrics on one port.

Owns: the HTTP dispatcher, the queue before the event log, the loops that apply events, tick billing and follow the
state feed, and the order in which all of that starts and stops. Does not own: any decision (services), any SQL
(storage), the management API's own routes (`apps.api`).

Invariants: 201 is answered only after the commit that made the events durable; every write goes through the database's
one writing thread, so lease requests get their turn between two batches of events; a loop that fails logs, backs off
and goes on. First file to read: `main.py`.
"""
