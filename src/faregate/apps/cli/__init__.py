"""The `faregate` command: what people and supervisors start.

Owns: commands, their flags, where settings come from, and the supervisor of `faregate up`. Does not own: what a process
does (`apps.control`, `apps.gateway`) once it has its settings.

Invariants: nothing here imports a process, a database or a server library before the command that needs it runs, so
that `--help` is quick and the supervisor small. A setting comes from the flag, else the environment (`FAREGATE_*`),
else the settings file, else the default; a wrong one gives one line that names it and where it came from.
First file to read: `main.py`.
"""
