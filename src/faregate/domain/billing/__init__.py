"""Invoices: what a period came to, what was paid, and when it is overdue.

Owns: the invoice's shape and states, and the rounding that makes debits equal lines. Does not own: the provider that issues it.
Invariants: a line is rounded once; after the period's close the sum of debits equals the line.
First file to read: `invoice.py`.
"""
