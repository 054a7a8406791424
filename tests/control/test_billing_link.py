"""Which provider a control plane starts with, and which keys it does not start with."""

import asyncio
from contextlib import closing
from pathlib import Path

import pytest

from faregate.apps.control.main import running_control_plane
from faregate.apps.control.settings import ControlSettings
from faregate.base.errors import ConfigurationError
from faregate.services.claim_account import claim_account
from faregate.storage.database import Database
from tests.control.control_plane import started

SECRET = "51Secret"  # noqa: S105 - a made-up part of keys


def start(data: Path, key: str | None) -> None:
    async def run() -> None:
        async with running_control_plane(ControlSettings(port=0, data=data, gateway_token="t", stripe_api_key=key)):
            pytest.fail("it started")

    asyncio.run(run())


def test_a_key_that_does_not_fit_what_was_billed_before_is_refused_at_start_without_being_said(tmp_path: Path) -> None:
    with started(tmp_path):
        pass
    url = ControlSettings(data=tmp_path, gateway_token="t").resolved_database_url()
    with closing(Database(url)) as database, database.begin() as transaction:
        claim_account(transaction, account="acct_1", is_live=False)
    for key, says in (
        (f"sk_live_{SECRET}", "is a key of live mode"),
        (None, "set stripe_api_key to a key of it"),
        (f"pk_test_{SECRET}", "is no secret or restricted key"),
    ):
        with pytest.raises(ConfigurationError, match=says) as raised:
            start(tmp_path, key)
        assert SECRET not in str(raised.value)
