from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from faregate.apps.cli.apply import run_apply
from faregate.apps.cli.invoice_preview import run_invoice_preview
from faregate.apps.cli.main import run
from faregate.apps.cli.management import ask
from tests.control.control_plane import Handle

CATALOG = """\
plans:
  - name: Plan
    prices:
      - {name: Seats, model: {type: flat, amount: "7"}, currency: USD, adjustments: {minimum_spend: "9"}}
coupons:
  - {coupon_id: LAUNCH, name: Launch, percent: "10", duration: forever}
companies:
  - company_id: acme
    subscriptions: [{plan: Plan, pays: postpaid, coupons: [LAUNCH]}]
"""


def _token(control: Handle) -> str:
    assert control.running.first_secrets is not None
    return control.running.first_secrets.api_token


def _preview(control: Handle, company_id: str = "acme", *, at: datetime | None = None, json: bool = False) -> int:
    return run_invoice_preview(company_id, at=at, api_url=control.running.origin, token=_token(control), json=json)


def test_a_companys_next_invoice_is_shown_with_what_it_is_made_of(
    control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(CATALOG)
    assert run_apply(file, api_url=control.running.origin, token=_token(control), dry_run=False) == 0
    capsys.readouterr()
    assert _preview(control) == 0
    shown = capsys.readouterr().out
    assert "true up" in shown
    assert "Nothing is open." in shown
    assert [row.split("│")[3].strip() for row in shown.splitlines() if "due" in row] == ["8.10"]
    assert [row.split("│")[3].strip() for row in shown.splitlines() if "coupon Launch" in row] == ["-0.90"]
    assert _preview(control, json=True) == 0
    assert [one["amount_due"] for one in msgspec.json.decode(capsys.readouterr().out)] == ["8.10"]
    assert _preview(control, at=datetime(2001, 1, 1, tzinfo=UTC)) == 1
    assert "at: must be an instant between the subscription's start and its end" in capsys.readouterr().err


def test_a_subscription_that_has_ended_hides_no_other_one(
    control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(CATALOG)
    assert run_apply(file, api_url=control.running.origin, token=_token(control), dry_run=False) == 0
    subscriptions = f"{control.running.origin}/api/v1/subscriptions"
    listed = msgspec.json.decode(ask("GET", f"{subscriptions}?company_id=acme", _token(control)))
    (ended,) = (one["subscription_id"] for one in listed["data"])
    ask("POST", f"{subscriptions}/{ended}/cancel", _token(control), body=b'{"at": "now"}')
    file.write_text(CATALOG.replace("name: Plan", "name: Other").replace("plan: Plan", "plan: Other"))
    assert run_apply(file, api_url=control.running.origin, token=_token(control), dry_run=False) == 0
    capsys.readouterr()
    moment = datetime.now(UTC) + timedelta(days=1)
    assert _preview(control, at=moment, json=True) == 0
    shown = [one["subscription_id"] for one in msgspec.json.decode(capsys.readouterr().out)]
    assert len(shown) == 1
    assert ended not in shown


def test_a_company_without_a_subscription_is_named(control: Handle, capsys: pytest.CaptureFixture[str]) -> None:
    assert _preview(control, "beta gmbh") == 1
    assert "the company 'beta gmbh' has no subscription" in capsys.readouterr().err


def test_a_control_plane_that_does_not_answer_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for url in ("http://127.0.0.1:9", "nonsense"):
        assert run_invoice_preview("acme", at=None, api_url=url, token="t", json=False) == 1
        assert url in capsys.readouterr().err


def test_the_command_takes_its_settings_as_every_other_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "none"
    assert run(["invoice", "preview", "--company", "acme", "--at", "2026-03-01", "--data", str(data)]) == 2
    assert "there is no" in capsys.readouterr().err
    assert run(["invoice", "preview", "--help"]) == 0
    assert "faregate invoice preview --company acme" in capsys.readouterr().out
