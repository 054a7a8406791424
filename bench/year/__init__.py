"""A year of the seed's plan on the clock: are our totals the provider's invoices, to the cent, whatever fails?

Owns: customers who use windows each day, calls of the provider that fail, and processes that die among them. Does not
own: the services it drives, and the provider. Invariant: what is expected comes from the usage alone.
First file to read: `__main__.py`, then `judge.py`.
"""
