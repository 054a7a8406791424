"""The replay: every call of a trace through a gateway, dated as it was, and the books compared with the file's own sum.

Owns: the pace, the order, the replay clock, and the comparison. Does not own: the trace's form and its independent sum
(`apps.story.trace`, `apps.story.trace_sum`).
Invariants: a trace is read whole and found good before anything is sent; a row is sent once and never again; a month is
over when every call of it is metered, and only then does the clock pass its end.
First file to read: `playing.py`.
"""
