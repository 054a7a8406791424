"""Templates and the files that the browser loads, read once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

_PACKAGE: Final = "faregate.apps.web"
_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file as it is sent; `gzipped` is the same, compressed."""

    content: bytes
    gzipped: bytes
    content_type: str


def content_policy(*targets: str) -> str:
    """Return a page's policy: nothing from elsewhere, no script or style in it; its forms lead to `targets` too."""
    sources = " ".join(["'self'", *targets])
    # Tabler's own images are `data:` in its style sheet.
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        f" form-action {sources}; base-uri 'none'; frame-ancestors 'none'"
    )


class Pages:
    """Renders templates. A name in `asset()` that was not built is left out: pages then work without style."""

    def __init__(self) -> None:
        self._assets, self._names = _read_assets()
        self._environment = Environment(
            loader=PackageLoader(_PACKAGE, "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["moment"] = _moment
        self._environment.globals["asset"] = self._names.get

    def render(self, template: str, **values: object) -> str:
        """Return a page; everything in `values` is escaped."""
        return self._environment.get_template(template).render(**values)

    def asset(self, name: str) -> Asset | None:
        """Return a file by its name with its hash."""
        return self._assets.get(name)


def _read_assets() -> tuple[dict[str, Asset], dict[str, str]]:
    """Return files by their hashed names, and hashed names by plain ones; nothing where `web/build.mjs` did not run."""
    folder = files(_PACKAGE) / "static"
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return {}, {}
    names = msgspec.json.decode(manifest.read_bytes(), type=dict[str, str])
    assets = {
        name: Asset(
            content=(folder / name).read_bytes(),
            gzipped=(folder / f"{name}.gz").read_bytes(),
            content_type=_TYPES[name.rpartition(".")[2]],
        )
        for name in names.values()
    }
    return assets, names


def _moment(instant: datetime) -> str:
    """Return an instant for people, in UTC to the second."""
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"
