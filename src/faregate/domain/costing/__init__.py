"""What calls cost the operator upstream, and what is left of their revenue.

Owns: provider cost prices and which of them hold when, an event's cost, margins, and the comparison of a price with a
cost. Does not own: revenue, which is what the ledger charged.
Invariants: a cost is exact; an event that nothing prices is uncosted, never free; amounts of two currencies never meet.
First file to read: `cost.py`.
"""
