"""How the usage of an upstream's protocol is bounded, asked for and read: one or two modules a dialect.

Owns: reading a request's bound, rewriting it, reading usage as an answer passes, errors in the dialect's form. Does not
own: holds, billing, sockets, compression.
Invariants: what the caller gets is byte for byte what the upstream sent, less the usage chunk that only we asked for;
the network may cut anywhere; numbers keep their spelling and are never read as binary floats; an explicit 0 is a value
and `null` overwrites nothing; what is estimated is said to be.
First files to read: `seam.py`, then `openai_chat.py`.
"""
