"""kill -9 of the gateway or the control plane under load, again and again, and a judge of what was billed after it.

Owns: the load and its own record of every answer (`load`), the rounds of killing and restarting (`rounds`), what the
upstream and the database say of the same calls (`evidence`), and the verdict over all three (`judge`). Does not own:
any rule of Faregate; what it expects of amounts it calculates by itself.

Invariants: the judge reads records only, and asks no process; it knows a call by the request id that the gateway gave.
First file to read: `judge.py`.
"""
