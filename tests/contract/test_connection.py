"""What a key may do, asked of the sandbox with each request judged, and of a stand-in that refuses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faregate.apps.cli.provider_check import run_provider_check
from faregate.apps.secret_files import SANDBOX_KEY_FILE
from faregate.base.errors import ConfigurationError
from faregate.domain.billing.provider_connection import WEBHOOK_EVENTS
from faregate.providers.stripe.client import connect
from faregate.providers.stripe.connection import StripeConnection
from faregate.providers.stripe_version import API_VERSION
from tests.contract.judge import judging
from tests.control.control_plane import Handle, started
from tests.providers.stripe_stand_in import Scripted, standing_in

RESTRICTED = "rk_test_1"


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Handle, str]]:
    data = Path(tmp_path_factory.mktemp("connection"))
    with started(data) as handle:
        yield handle, (data / SANDBOX_KEY_FILE).read_text().strip()


def test_each_permission_is_tried_with_a_call_that_stripe_takes_and_that_changes_nothing(
    control: tuple[Handle, str],
) -> None:
    handle, key = control
    with judging(f"{handle.running.origin}/sandbox") as judge:
        client = connect(key, base_url=judge.url)
        before = client.v1.events.list().data
        found = StripeConnection(lambda: client, key=key).check()
        after = client.v1.events.list().data
    assert judge.refused() == []
    assert (found.is_live, found.is_enough, found.name) == (False, True, "Sandbox")
    assert found.account.startswith("acct_")
    assert [event.id for event in after] == [event.id for event in before]


def test_the_webhook_endpoint_is_made_once_in_our_version_and_its_secret_is_told_once(
    control: tuple[Handle, str],
) -> None:
    handle, key = control
    with judging(f"{handle.running.origin}/sandbox") as judge:
        client = connect(key, base_url=judge.url)
        connection = StripeConnection(lambda: client, key=key)
        url = "https://faregate.example/webhooks/stripe"
        made, again = connection.ensure_webhook(url), connection.ensure_webhook(url)
        standing = client.v1.webhook_endpoints.retrieve(made.endpoint_id)
    assert judge.refused() == []
    secret = made.secret or ""
    assert secret.startswith("whsec_")
    assert secret not in repr(made)
    assert (again.endpoint_id, again.secret) == (made.endpoint_id, None)
    assert (standing.api_version, standing.enabled_events) == (API_VERSION, list(WEBHOOK_EVENTS))


def test_the_command_says_whose_key_it_is_and_what_it_may_do(
    control: tuple[Handle, str], capsys: pytest.CaptureFixture[str]
) -> None:
    handle, _ = control
    assert handle.running.first_secrets is not None
    token = handle.running.first_secrets.api_token
    assert run_provider_check(api_url=handle.running.origin, token=token, json=False) == 0
    shown = capsys.readouterr().out
    assert "test mode" in shown
    assert "  yes write products" in shown
    assert "The key may do all that is needed." in shown
    made = handle.ask(
        "POST",
        "/api/v1/provider/webhook-endpoint",
        b'{"url": "https://other.example/webhooks/stripe"}',
        authorization=f"Bearer {token}",
    )
    assert made.status == 201
    assert str(made.json()["secret"]).startswith("whsec_")


def test_what_a_restricted_key_may_not_is_told_in_stripes_words() -> None:
    refusal = "The provided key does not have the 'rak_product_write' permission for this endpoint."
    with standing_in() as stand_in:
        account = Scripted.error(403, "no account")
        listed = Scripted(200, {"object": "list", "data": [], "has_more": False, "url": "/"})
        missing = Scripted.error(404, "No such thing")
        stand_in.script = [account, listed, Scripted.error(403, refusal), *[missing] * 40]
        client = connect(RESTRICTED, base_url=stand_in.url)
        found = StripeConnection(lambda: client, key=RESTRICTED).check()
    refused = [permission for permission in found.permissions if not permission.is_granted]
    assert (found.account, found.is_enough) == ("", False)
    assert [permission.name for permission in refused] == ["read the account", "write products"]
    assert "rak_product_write" in refused[1].fault


def test_a_key_that_stripe_does_not_know_is_told_at_once_and_not_shown() -> None:
    with standing_in() as stand_in:
        stand_in.script = [Scripted.error(401, "Invalid API Key provided: rk_test_1")]
        client = connect(RESTRICTED, base_url=stand_in.url)
        with pytest.raises(ConfigurationError, match="refused the key") as told:
            StripeConnection(lambda: client, key=RESTRICTED).check()
    assert RESTRICTED not in told.value.message


def test_an_endpoint_whose_answer_was_lost_is_asked_for_under_the_same_key() -> None:
    made = {"id": "we_1", "object": "webhook_endpoint", "secret": "whsec_1"}
    with standing_in() as stand_in:
        none = Scripted(200, {"object": "list", "data": [], "has_more": False, "url": "/"})
        stand_in.script = [none, Scripted(None), Scripted(200, made)]
        client = connect(RESTRICTED, base_url=stand_in.url)
        endpoint = StripeConnection(lambda: client, key=RESTRICTED).ensure_webhook("https://faregate.example/")
        _, first, second = stand_in.keys
    assert (endpoint.endpoint_id, first) == ("we_1", second)
    assert first is not None


def test_a_provider_that_is_away_for_a_moment_is_asked_again() -> None:
    with standing_in() as stand_in:
        listed = Scripted(200, {"object": "list", "data": [], "has_more": False, "url": "/"})
        stand_in.script = [Scripted.error(403), Scripted.error(500), *[listed] * 40]
        client = connect(RESTRICTED, base_url=stand_in.url)
        assert not StripeConnection(lambda: client, key=RESTRICTED).check().is_enough
