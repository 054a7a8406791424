import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from faregate.apps.cli.apply import run_apply
from faregate.apps.cli.main import run
from faregate.apps.cli.margin_report import run_margin
from tests.control.control_plane import Handle

FROM, TO = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
FILE = """\
plans:
  - name: Plan
    prices:
      - { name: Input Tokens, currency: USD, model: { type: per_unit, amount: 0.01 } }
meters:
  - name: Input Token Meter
    plan: Plan
    price: Input Tokens
    filter_text: "true"
    metric: { type: sum, field: response.body.usage.prompt_tokens }
costs:
  - name: upstream
    filter_text: "true"
    currency: USD
    rates:
      - { kind: input, metric: { type: sum, field: response.body.usage.prompt_tokens }, amount: 0.02 }
"""

COMPANY = """\
companies:
  - company_id: acme
    subscriptions: [{ plan: Plan, pays: postpaid }]
"""


def _token(control: Handle) -> str:
    assert control.running.first_secrets is not None
    return control.running.first_secrets.api_token


def _margin(control: Handle, *, json: bool = False, start: datetime = FROM) -> int:
    return run_margin(
        from_at=start, to_at=TO, by="model", api_url=control.running.origin, token=_token(control), json=json
    )


def test_a_price_below_its_cost_is_shown_when_a_file_is_applied(
    control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(FILE)
    assert run_apply(file, api_url=control.running.origin, token=_token(control), dry_run=False) == 0
    assert "warning 'Input Tokens' sells at 0.01 USD, below its cost of 0.02 USD" in capsys.readouterr().out


def test_margins_are_shown_as_a_table_and_as_json(control: Handle, capsys: pytest.CaptureFixture[str]) -> None:
    assert _margin(control) == 0
    assert "Nothing is counted" in capsys.readouterr().out
    assert _margin(control, json=True) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["data"] == []


def test_a_running_control_plane_keeps_margins_by_itself(
    control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(FILE + COMPANY)
    assert run_apply(file, api_url=control.running.origin, token=_token(control), dry_run=False) == 0
    now = datetime.now(tz=UTC)
    body = {"model": "gpt-4o", "usage": {"prompt_tokens": 100}}
    event = {
        "request": {"time": now, "uri": "http://api.example/ai/chat", "verb": "POST"},
        "response": {"time": now, "status": 200, "body": body},
        "company_id": "acme",
    }
    assert control.collect(msgspec.json.encode([event])).status == 201
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    deadline_s = time.monotonic() + 20
    shown = ""
    while "gpt-4o" not in shown and time.monotonic() < deadline_s:
        time.sleep(0.1)
        status = run_margin(
            from_at=day,
            to_at=day + timedelta(days=1),
            by="model",
            api_url=control.running.origin,
            token=_token(control),
            json=False,
        )
        assert status == 0
        shown = capsys.readouterr().out
    cells = next(line for line in shown.splitlines() if "gpt-4o" in line).replace("│", "|").split("|")[1:9]
    found = [cell.strip() for cell in cells]
    assert found == ["gpt-4o", "1", "0", "1.00 USD", "2.00", "-1.00", "-100.00", "below cost"]


def test_a_report_that_cannot_be_says_why(control: Handle, capsys: pytest.CaptureFixture[str]) -> None:
    assert _margin(control, start=TO) == 1
    assert capsys.readouterr().err.startswith("to: must be after 'from'")
    for url in ("http://127.0.0.1:9", "nonsense"):
        assert run_margin(from_at=FROM, to_at=TO, by="model", api_url=url, token="t", json=False) == 1
        assert url in capsys.readouterr().err


def test_the_command_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["margin", "--help"]) == 0
    assert "faregate margin --from" in capsys.readouterr().out
