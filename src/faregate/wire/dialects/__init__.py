"""How the usage of an upstream's protocol is bounded, asked for and read: one module a dialect.

Owns: reading a request's bound, rewriting it, reading usage as an answer passes. Does not own: holds, billing, sockets.
Invariants: what the caller gets is byte for byte what the upstream sent, less the usage chunk that only we asked for;
numbers keep their spelling and are never read as binary floats; an explicit 0 is a value and `null` overwrites nothing.
First file to read: `openai_chat.py`.
"""
