"""The outside world's shapes and their mapping to the core.

Owns: msgspec Structs for events, the gateway protocol, OpenAI's dialect, problem documents. Does not own: any decision.
Invariants: amounts and rates travel as decimal strings, never as binary floats; unknown fields of others' shapes are
ignored. First file to read: `gateway_protocol.py`.
"""
