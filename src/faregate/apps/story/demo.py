"""`faregate demo`: everything on this machine with a demo AI API behind it, two customers, and what to type next."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.text import Text

from faregate.apps.cli.supervisor import Child, Supervisor
from faregate.apps.cli.up import UpSettings, children, settle
from faregate.apps.ports import claim_port, origin, reachable
from faregate.apps.secret_files import CLI_TOKEN_FILE, read_secret, write_secret
from faregate.apps.story.calling import loopback_client
from faregate.apps.story.management import Management
from faregate.apps.story.seed import PLAN, ROUTE, seed_catalog
from faregate.base.errors import ConfigurationError
from faregate.wire.api.catalog_document import CatalogApplied
from faregate.wire.api.credit import GrantView
from faregate.wire.api.customers import NewKeyView, SubscriptionView

KEYS_FILE: Final = "demo-keys"
"""The demo customers' API keys, so that every start shows them. It also marks the folder as a demo's."""

PREPAID: Final = "acme"
POSTPAID: Final = "globex"
GRANT: Final = "10.00"

_UPSTREAM_HOST: Final = "127.0.0.1"
_DATABASE_URL: Final = "FAREGATE_DATABASE_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoAddresses:
    """Where the demo's processes answer, each without a path, and its folder."""

    gateway: str
    control_plane: str
    upstream: str
    data: Path


def run_demo(settings: UpSettings) -> int:
    """Run control plane, gateway and demo upstream until Ctrl-C or SIGTERM; seed them and show how to call.

    Raises:
        ConfigurationError: A port is in use, or the folder is not a demo's.
        FaregateError: The management API refused what it should take.
    """
    _require_demo_folder(settings.data)
    # A demo keeps to its folder, whatever database the environment names for the real thing.
    os.environ.pop(_DATABASE_URL, None)
    settings = settle(replace(settings, database_url=None))
    upstream_port = claim_port(_UPSTREAM_HOST, 0)
    addresses = DemoAddresses(
        gateway=origin(reachable(settings.host), settings.gateway_port),
        control_plane=origin(reachable(settings.host), settings.port),
        upstream=origin(_UPSTREAM_HOST, upstream_port),
        data=settings.data,
    )
    served = children(settings)
    upstream = Child(
        name="demo upstream",
        command=(
            *(sys.executable, "-m", "faregate.apps.upstream", "--port", str(upstream_port)),
            *("--log", str(settings.data / "upstream-calls.jsonl")),
        ),
        environment=served[0].environment,
        host=_UPSTREAM_HOST,
        port=upstream_port,
        ready_path="/healthz",
    )
    return Supervisor([upstream, *served], when_ready=lambda: _present(addresses)).run()


def _require_demo_folder(data: Path) -> None:
    """Raise `ConfigurationError` where a folder has data that no demo made; mark a new one as a demo's."""
    keys = data / KEYS_FILE
    if keys.exists():
        return
    if data.exists() and any(data.iterdir()):
        raise ConfigurationError(f"the folder {data} holds something else; give the demo one of its own with --data")
    write_secret(keys, "{}")


def _present(addresses: DemoAddresses) -> None:
    keys = asyncio.run(_seed(addresses))
    _show(addresses, keys)


async def _seed(addresses: DemoAddresses) -> dict[str, str]:
    """Put the seed case and two customers in place, as far as they are not; return the customers' keys."""
    token = read_secret(addresses.data / CLI_TOKEN_FILE) or ""
    async with loopback_client() as client:
        management = Management(client, origin=addresses.control_plane, token=token)
        catalog = seed_catalog(upstream_url=f"{addresses.upstream}/v1") | {
            "companies": [_company(PREPAID, "Acme", "prepaid"), _company(POSTPAID, "Globex", "postpaid")]
        }
        await management.post("/catalog/apply", {"catalog": catalog}, CatalogApplied)
        keys = await _keys(management, addresses.data)
        for subscription in await management.every("/subscriptions", SubscriptionView, {"company_id": PREPAID}):
            grant = {"amount": GRANT, "kind": "promotional", "description": "To try the demo with"}
            path = f"/subscriptions/{subscription.subscription_id}/grants"
            await management.post(path, grant, GrantView, caller_id="demo-first-credit")
    return keys


async def _keys(management: Management, data: Path) -> dict[str, str]:
    """Return the customers' keys: those kept, and new ones for whom there is none."""
    kept = msgspec.json.decode(read_secret(data / KEYS_FILE) or "{}", type=dict[str, str])
    for company_id in (PREPAID, POSTPAID):
        if company_id not in kept:
            asked = {"company_id": company_id, "user_id": _user(company_id), "name": "demo"}
            kept[company_id] = (await management.post("/keys", asked, NewKeyView)).key
            write_secret(data / KEYS_FILE, msgspec.json.encode(kept).decode())
    return kept


def _company(company_id: str, name: str, pays: str) -> dict[str, object]:
    return {
        "company_id": company_id,
        "name": name,
        "users": [{"user_id": _user(company_id)}],
        "subscriptions": [{"plan": PLAN, "pays": pays, "payment_terms_days": 14}],
    }


def _user(company_id: str) -> str:
    return f"{company_id}-program"


def _show(addresses: DemoAddresses, keys: dict[str, str]) -> None:
    """Print where everything is, and lines that work as they are when pasted."""
    base_url, key, folder = addresses.gateway + ROUTE, keys[PREPAID], addresses.data.resolve()
    token = f"$(cat {shlex.quote(str(folder / CLI_TOKEN_FILE))})"
    shown = Text.assemble(
        ("\nThe Faregate demo is ready.", "bold green"),
        f" Ctrl-C ends it; what happened stays in {folder}\n\n",
        ("  AI API, metered  ", ""),
        (f"{base_url}\n", "bold"),
        f"  control plane    {addresses.control_plane}   (API: {addresses.control_plane}/api)\n",
        f"  demo upstream    {addresses.upstream}\n\n",
        f"  {PREPAID:<7} prepaid, ${GRANT} of credit at first   {keys[PREPAID]}\n",
        f"  {POSTPAID:<7} postpaid                           {keys[POSTPAID]}\n",
        ("\nCall it:\n\n", "bold"),
        f'curl -s {base_url} -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\\n',
        """  -d '{"model": "faregate-demo", "messages": [{"role": "user", "content": "Hello"}]}'\n""",
        ("\nOr from Python, with the official SDK (pip install openai):\n\n", "bold"),
        "from openai import OpenAI\n",
        f'client = OpenAI(base_url="{base_url}", api_key="{key}")\n',
        'messages = [{"role": "user", "content": "Hello"}]\n',
        'print(client.chat.completions.create(model="faregate-demo", messages=messages).choices[0].message.content)\n',
        ("\nWhat it cost:\n\n", "bold"),
        f'curl -s "{addresses.control_plane}/api/v1/charges?company_id={PREPAID}" -H "Authorization: Bearer {token}"\n',
        "\nThe whole story, in a folder of its own: ",
        ("faregate demo --walkthrough\n", "bold"),
    )
    Console(highlight=False, soft_wrap=True).print(shown)
