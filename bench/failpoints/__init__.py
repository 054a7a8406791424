"""Dies at every named failpoint under load, starts again, and judges what was billed and what stays held.

Owns: who dies at which point (`chains`) and the trial (`trial`). Does not own: the points (`faregate.base.failpoints`),
the customers, their calls and the verdict (`bench.overspend`).

Invariants: a point counts as tried only where its process left a mark in its log and was ended by SIGKILL.
First file to read: `trial.py`.
"""
