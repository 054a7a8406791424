"""`faregate provider check`: a line for each thing that the key may do, or may not."""

from __future__ import annotations

import msgspec

from faregate.apps.cli.answering import answered, print_json
from faregate.apps.cli.management import ask
from faregate.wire.api.provider_connection import ConnectionView


def run_provider_check(*, api_url: str, token: str, json: bool) -> int:
    """Print what the key may do; return 0 where that is enough, else 1."""
    return answered(
        lambda: msgspec.json.decode(ask("GET", f"{api_url}/api/v1/provider", token), type=ConnectionView),
        api_url=api_url,
        show=print_json if json else _show,
        is_well=lambda found: found.enough,
    )


def _show(found: ConnectionView) -> None:
    mode = "live" if found.live else "test"
    print(f"{found.name or 'an account'} ({found.account or 'its id may not be read'}), {mode} mode")
    for permission in found.permissions:
        print(
            f"  {'yes' if permission.granted else 'NO '} {permission.name}"
            + (f": {permission.fault}" * bool(permission.fault))
        )
    missing = sum(not permission.granted for permission in found.permissions)
    print(f"{missing} permissions are missing." if missing else "The key may do all that is needed.")
