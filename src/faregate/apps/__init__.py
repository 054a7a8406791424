"""Processes: the only place that wires parts together, reads settings, sets up logs and speaks HTTP statuses.

Owns: what a process does from its start to its end. Does not own: any decision; those are services.
Invariants: nothing imports an app but another app. One package a process; the first file to read is each package's own
docstring.
"""
