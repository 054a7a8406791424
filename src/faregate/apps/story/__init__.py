"""Faregate at work: the demo, the walkthrough that proves its own amounts, and the replay of real traffic.

Owns: a stack of its own (control plane, gateway, demo upstream) for as long as a story lasts, the calls it makes, the
amounts it expects, and how both are shown. Does not own: any rule of metering or money; what it expects is calculated
apart from the code that is under test: by hand in docs/walkthrough.md, and in `trace_sum` by plain integers.

Invariants: everything goes over HTTP as an operator's or a caller's would; an amount that differs from what was
expected is shown and ends in exit status 1.
First files to read: `walkthrough/playing.py` and `replaying/playing.py`; both stand on `stack.py`.
"""
