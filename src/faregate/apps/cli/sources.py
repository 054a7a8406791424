"""Where settings come from besides flags: the environment, then one settings file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from cyclopts import App, ArgumentCollection, CycloptsError
from cyclopts.config import Env, Toml

from faregate.base.errors import ConfigurationError

ENVIRONMENT_PREFIX: Final = "FAREGATE_"
SETTINGS_FILE: Final = Path("faregate.toml")

Source = Callable[[App, tuple[str, ...], ArgumentCollection], Any]


def sources(settings_file: Path | None, known: Iterable[str]) -> list[Source]:
    """Return what is asked after the flags, in order.

    A `settings_file` that was named must exist; `faregate.toml` in the working directory need not. `known`: every
    setting that some command has; one file serves all commands, and a word that none of them knows is refused.
    """
    if settings_file is not None and not settings_file.exists():
        raise ConfigurationError(f"the settings file {settings_file} does not exist")
    file = Toml(settings_file or SETTINGS_FILE, use_commands_as_keys=False, allow_unknown=True)
    return [Env(ENVIRONMENT_PREFIX, command=False), _checked(file, frozenset(known)), file]


def _checked(file: Toml, known: frozenset[str]) -> Source:
    def check(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        del app, commands, arguments
        try:
            names = file.config
        except CycloptsError as error:
            raise ConfigurationError(f"{file.source} cannot be read: {error}") from error
        for name in names:
            if name not in known:
                raise ConfigurationError(
                    f"{name!r} in {file.source} is not a setting; there are: {', '.join(sorted(known))}"
                )

    return check
