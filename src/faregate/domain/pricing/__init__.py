"""Rating: a period's total quantity and a price give an exact amount.

Owns: one file a pricing model, and the functions every caller uses (`rating.py`), proration, and the breakdown that
explains a line. Does not own: what the total is (`metering`).
Invariants: pure functions of a total; totals are quantized, differences never are.
First file to read: `rating.py`.
"""
