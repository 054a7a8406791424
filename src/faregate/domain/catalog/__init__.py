"""What is sold: plans and their prices.

Owns: the shape of a plan, a price, its closed union of pricing models, its adjustments, its versions and currencies,
and what they must satisfy to be kept. Does not own: how much a quantity costs (`pricing`).
Invariants: a price is immutable; a change is a new version with an id of its own.
First file to read: `models.py`, then `versions.py`.
"""
