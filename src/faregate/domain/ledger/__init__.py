"""Credit: what an account may still spend, what leases hold of it, and the entries that move it.

Owns: reservation arithmetic and the shapes of entries and leases. Does not own: where they are stored, or what a
call uses.
Invariants: reserved money is the most that outstanding units can cost; it is computed from totals, never accumulated.
First file to read: `reserve.py`; for grants over time `burning.py`, then `credit_account.py`, and
`credit_run.py`, which says the same of all usage at once.
"""
