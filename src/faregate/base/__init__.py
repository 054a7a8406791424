"""Ids, clock, money, periods, errors and limits: the words every other package speaks.

Owns: how an instant, an amount, an id and a failure look. Does not own: any business rule.
Invariants: standard library only; nothing here performs I/O except `SystemClock`, which reads the machine's clock.
First file to read: `money.py`.
"""
