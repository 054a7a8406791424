"""A page about the API: made from the OpenAPI document on the server, with nothing loaded from anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any, Final

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
nav a { white-space: nowrap; }
h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; display: flex; gap: .8rem; flex-wrap: wrap; }
summary b { width: 4rem; }
summary code { overflow-wrap: anywhere; min-width: 0; }
summary span { margin-left: auto; opacity: .75; }
pre { background: var(--soft); border-radius: .3rem; overflow-x: auto; padding: .6rem; font-size: .85rem; }
table { border-collapse: collapse; width: 100%; }
td { border-top: 1px solid var(--line); padding: .25rem .5rem; vertical-align: top; }
"""

Document = dict[str, Any]


def render_page(document: Document) -> str:
    """Return the page: operations by tag, each with its parameters, body, answers and errors."""
    about = document["info"]
    by_tag = _by_tag(document)
    links = "".join(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in by_tag)
    sections = "".join(_section(document, tag, operations) for tag, operations in by_tag.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(about["title"])}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(about['title'])} <small>{escape(about['version'])}</small></h1>"
        f'<p>{escape(about["description"])}</p><p>For programs: <a href="/api/openapi.json">openapi.json</a>.</p>'
        f"<nav>{links}</nav>{sections}</body></html>"
    )


def _by_tag(document: Document) -> dict[str, list[tuple[str, str, Document]]]:
    by_tag: dict[str, list[tuple[str, str, Document]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append((method.upper(), path, operation))
    return by_tag


def _section(document: Document, tag: str, operations: list[tuple[str, str, Document]]) -> str:
    blocks = "".join(
        _operation(document, operation, method=method, path=path) for method, path, operation in operations
    )
    return f'<h2 id="{escape(tag)}">{escape(tag)}</h2>{blocks}'


def _operation(document: Document, operation: Document, *, method: str, path: str) -> str:
    return (
        f"<details><summary><b>{method}</b><code>{escape(path)}</code><span>{escape(operation['summary'])}</span>"
        f"</summary><p>{escape(operation.get('description', ''))}</p>"
        f"{_parameters(operation)}{''.join(_bodies(document, operation))}</details>"
    )


def _parameters(operation: Document) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])}"
        f"{', required' if parameter.get('required') else ''}</td>"
        f"<td>{escape(parameter.get('description', ''))}</td></tr>"
        for parameter in operation.get("parameters", [])
    )
    return f"<table>{rows}</table>" if rows else ""


def _bodies(document: Document, operation: Document) -> Iterator[str]:
    if "requestBody" in operation:
        yield f"<h4>Body</h4>{_content(document, operation['requestBody']['content'])}"
    errors = []
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            yield f"<h4>Answer {status}</h4>{_content(document, answer.get('content', {}))}"
        else:
            errors.append(f"{status} {escape(answer['description'])}")
    yield f"<p>Errors, each a problem document: {', '.join(errors)}.</p>"


def _content(document: Document, content: Document) -> str:
    return "".join(
        f"<pre>{escape(json.dumps(_unfolded(document, part['schema'], depth=6), indent=2, ensure_ascii=False))}</pre>"
        for part in content.values()
        if "schema" in part
    )


def _unfolded(document: Document, schema: Any, depth: int) -> Any:  # noqa: ANN401 - any part of a JSON document
    """Return a schema with the ones it refers to in place."""
    match schema:
        case {"$ref": str(reference)} if depth:
            return _unfolded(document, document["components"]["schemas"][reference.rpartition("/")[2]], depth - 1)
        case dict():
            return {name: _unfolded(document, part, depth) for name, part in schema.items()}
        case list():
            return [_unfolded(document, part, depth) for part in schema]
        case _:
            return schema
