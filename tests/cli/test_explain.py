import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from faregate.apps.cli.apply import run_apply
from faregate.apps.cli.explain import run_explain
from faregate.apps.cli.main import run
from faregate.storage.database import Transaction
from faregate.storage.tables import admitted_event
from tests.control.control_plane import Handle, started

CATALOG = """\
plans:
  - name: Plan
    prices:
      - name: Tokens
        model: {type: graduated, tiers: [{up_to: 10, unit: "0.333"}, {unit: "0.1", flat: "1"}]}
        currency: USD
        adjustments: {discounts: [{percent: 10}], minimum_spend: "9"}
meters:
  - name: Token Meter
    plan: Plan
    price: Tokens
    filter_text: response.status == 200
    metric: {type: sum, field: metadata.tokens}
    group_by: [user_id]
companies:
  - company_id: acme
    subscriptions: [{plan: Plan, pays: postpaid}]
"""


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Handle]:
    with started(tmp_path / "kept") as handle:
        file = tmp_path / "catalog.yaml"
        file.write_text(CATALOG)
        assert run_apply(file, api_url=handle.running.origin, token=_token(handle), dry_run=False) == 0
        yield handle


def _token(control: Handle) -> str:
    assert control.running.first_secrets is not None
    return control.running.first_secrets.api_token


def _explain(control: Handle, target: str, *, json: bool = False) -> int:
    return run_explain(target, api_url=control.running.origin, token=_token(control), json=json)


def _api(control: Handle, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
    sent = None if body is None else json.dumps(body).encode()
    reply = control.ask(method, f"/api/v1{path}", sent, authorization=f"Bearer {_token(control)}")
    assert reply.status < 300, reply.body
    return reply.json()


def _use(control: Handle, *events: dict[str, object]) -> None:
    now = _api(control, "GET", "/clock")["now"]
    request = {"time": now, "uri": "http://api/v1/ai", "verb": "POST"}
    common = {"request": request, "response": {"time": now, "status": 200}, "company_id": "acme"}
    sent = [common | event for event in events]
    assert control.collect(json.dumps(sent).encode()).status == 201
    deadline = time.monotonic() + 20
    while control.read(_applied) < len(events):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _applied(transaction: Transaction) -> int:
    found: int = transaction.execute(select(func.count()).select_from(admitted_event)).scalar_one()
    return found


def _invoice(control: Handle) -> str:
    _api(control, "POST", "/clock/advance", {"by_seconds": 32 * 86_400})
    deadline = time.monotonic() + 20
    while not (invoices := _api(control, "GET", "/invoices")["data"]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return str(invoices[0]["invoice_id"])


def test_an_invoice_its_lines_windows_and_events_are_shown_with_their_arithmetic(
    control: Handle, capsys: pytest.CaptureFixture[str]
) -> None:
    _use(
        control,
        {"transaction_id": "a", "user_id": "ann", "metadata": {"tokens": 8}},
        {"transaction_id": "b", "user_id": "ann", "metadata": {"tokens": 7}},
    )
    invoice_id = _invoice(control)
    capsys.readouterr()
    assert _explain(control, invoice_id) == 0
    shown = capsys.readouterr().out
    assert "1. Tokens: 15 units, 9.00 USD" in shown
    assert "tier 2: 5 units x 0.1 + 1" in shown
    assert "what usage lacks of the least, 9" in shown
    assert _explain(control, f"{invoice_id}/1") == 0
    shown = capsys.readouterr().out
    assert "The account: 4.347 debited by events + 4.653 due beyond usage = 9.00 USD." in shown
    assert "ann" in shown
    assert _explain(control, f"{invoice_id}/1", json=True) == 0
    (window,) = json.loads(capsys.readouterr().out)["windows"]["data"]
    assert f"faregate explain {invoice_id}/1/{window['window']}" in shown
    assert _explain(control, f"{invoice_id}/1/{window['window']}") == 0
    assert "2.3976 USD" in capsys.readouterr().out
    assert _explain(control, "evt_2") == 0
    shown = capsys.readouterr().out
    assert "window" in shown
    assert "group ann" in shown
    assert f"on invoice {invoice_id}, line 1" in shown


def test_an_event_that_does_not_count_is_told_why(control: Handle, capsys: pytest.CaptureFixture[str]) -> None:
    _use(control, {"transaction_id": "a", "response": {"status": 500}}, {"transaction_id": "b"})
    capsys.readouterr()
    assert _explain(control, "evt_1") == 0
    assert "response.status is 500; expected == 200" in capsys.readouterr().out
    assert _explain(control, "evt_2") == 0
    assert "metadata.tokens is missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("evt_99", "there is no event 'evt_99'"),
        ("in_99", "there is no invoice 'in_99'"),
        ("in_99/1", "there is no invoice 'in_99'"),
        ("in_99/1/x", "there is no invoice 'in_99'"),
        ("in_99/", "'in_99/' is not an event's id, an invoice's id"),
        ("a/b/c/d", "is not an event's id, an invoice's id"),
    ],
)
def test_what_is_not_there_is_named(
    control: Handle, capsys: pytest.CaptureFixture[str], target: str, words: str
) -> None:
    capsys.readouterr()
    assert _explain(control, target) == 1
    assert words in capsys.readouterr().err


def test_a_control_plane_that_does_not_answer_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for url in ("http://127.0.0.1:9", "nonsense"):
        assert run_explain("evt_1", api_url=url, token="t", json=False) == 1
        assert url in capsys.readouterr().err


def test_the_command_takes_its_settings_as_every_other_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "evt_1", "--data", str(tmp_path / "none")]) == 2
    assert "there is no" in capsys.readouterr().err
