"""Invoices: what a period came to, what was paid, and when it is overdue.

Owns: the invoice's shape and states, the rounding that makes debits equal lines, what is asked of a billing provider.
Does not own: the providers themselves (`faregate.providers`).
Invariants: a line is rounded once; after the period's close the sum of debits and rounding equals the line.
First file to read: `invoice.py`, then `provider.py`.
"""
