"""Who may call what now, and why not.

Owns: rules, their templates, cohorts and the decision. Does not own: how membership is stored or pushed; regular
expressions (a `Matcher` is made by an adapter and passed in).
Invariants: a decision is a pure function of compiled rules, the subject's memberships and the request.
First file to read: `decision.py`.
"""
