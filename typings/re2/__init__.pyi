# Types for google-re2, which ships none: the part of its `re2` module that Faregate may use, for `str` patterns.
# An expression that RE2 refuses raises `error`; a look-around or a back-reference is one.

from collections.abc import Iterator
from typing import final

class error(Exception): ...  # noqa: N801 - the library's name

class Options:
    max_mem: int
    posix_syntax: bool
    longest_match: bool
    log_errors: bool
    literal: bool
    never_nl: bool
    dot_nl: bool
    never_capture: bool
    case_sensitive: bool
    perl_classes: bool
    word_boundary: bool
    one_line: bool

@final
class _Match:
    def __getitem__(self, group: int | str) -> str | None: ...
    def groups(self) -> tuple[str | None, ...]: ...
    def groupdict(self) -> dict[str, str | None]: ...
    def start(self, group: int | str = 0) -> int: ...
    def end(self, group: int | str = 0) -> int: ...
    def span(self, group: int | str = 0) -> tuple[int, int]: ...

@final
class _Regexp:
    @property
    def pattern(self) -> str: ...
    @property
    def options(self) -> Options: ...
    @property
    def groups(self) -> int: ...
    @property
    def programsize(self) -> int: ...
    def search(self, text: str, pos: int | None = None, endpos: int | None = None) -> _Match | None: ...
    def match(self, text: str, pos: int | None = None, endpos: int | None = None) -> _Match | None: ...
    def fullmatch(self, text: str, pos: int | None = None, endpos: int | None = None) -> _Match | None: ...
    def finditer(self, text: str, pos: int | None = None, endpos: int | None = None) -> Iterator[_Match]: ...

class Set:
    @classmethod
    def SearchSet(cls, options: Options | None = None) -> Set: ...  # noqa: N802 - the library's name
    @classmethod
    def MatchSet(cls, options: Options | None = None) -> Set: ...  # noqa: N802
    @classmethod
    def FullMatchSet(cls, options: Options | None = None) -> Set: ...  # noqa: N802
    def Add(self, pattern: str) -> int: ...  # noqa: N802
    def Compile(self) -> None: ...  # noqa: N802
    def Match(self, text: str) -> list[int] | None: ...  # noqa: N802

def compile(pattern: str, options: Options | None = None) -> _Regexp: ...  # noqa: A001 - the library's name
def escape(pattern: str) -> str: ...
