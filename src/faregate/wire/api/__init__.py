"""The management API's shapes and their mapping to the core.

Owns: what `/api/v1` takes and gives, one file a resource, and the catalog file that `faregate apply` sends. Does not
own: decisions, HTTP.
Invariants: amounts and quantities travel as decimal strings, instants as RFC 3339 in UTC; unknown fields are refused,
so that a misspelt one is never ignored.
First file to read: `common.py`.
"""
