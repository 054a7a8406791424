"""What a process can be told about its log. Standard library only: the command line reads it before anything else."""

from __future__ import annotations

from enum import StrEnum


class LogFormat(StrEnum):
    """`console`: aligned and coloured where it is a terminal. `json`: one object a line."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The least severe event that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
