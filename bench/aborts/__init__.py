"""Streams that break off: at each event's border and one byte around it, from the caller's and the upstream's side.

`cases.py` says what is tried and what is owed for it, by the pure reader of the dialect alone; `stage.py` plays caller
and upstream on real sockets; `trial.py` runs all of it through the real processes and reads the control plane's books.
"""
