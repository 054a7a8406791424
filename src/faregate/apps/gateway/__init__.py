"""The gateway process: identify, decide, hold, forward, meter, settle, one request at a time.

Owns: the callers' sockets, the upstream's, leases in memory, the spool on disk, and the way of its events to the
control plane. Does not own: rules, prices and balances (pushed by the control plane), nor any decision about money but
"is it held?". Invariants: on a strict route no call goes upstream that its leases do not cover; an event is in the
spool before the last byte of its answer goes out; a unit of a lease is at any time idle, held by one call, used, or
given back. First file to read: `app.py`; then `metered.py`, `pools.py`, `spool.py`. The protocol:
docs/decisions/0003-gateway-protocol.md.
"""
