"""The walkthrough: two customers' whole story, played with real HTTP, every amount checked against docs/walkthrough.md.

Owns: what happens in which order, the amounts that were calculated by hand, and how they are shown. Does not own: how
processes are started or calls made (`apps.story`).
Invariants: an expected amount stands here as a literal and is never computed; a step that finds another one says so,
and the walkthrough ends in exit status 1.
First file to read: `expected.py`, beside docs/walkthrough.md; then `playing.py`.
"""
