"""What is sold: plans and their prices.

Owns: the shape of a plan, a price and its closed union of pricing models. Does not own: how much a quantity costs
(`pricing`).
Invariants: a price is immutable; an edit is a new version.
First file to read: `price.py`.
"""
