from pathlib import Path

import msgspec
import pytest

from faregate.apps.cli.apply import run_apply
from faregate.apps.cli.auditing import run_audit
from tests.control.control_plane import Handle

FILE = """\
plans:
  - name: Plan
    prices:
      - { name: Input Tokens, currency: USD, model: { type: per_unit, amount: 0.01 } }
companies:
  - company_id: acme
    subscriptions: [{ plan: Plan, pays: prepaid }]
"""


def test_the_audit_ends_with_status_1_where_something_differs_and_names_it_in_a_line(
    control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert control.running.first_secrets is not None
    origin, token = control.running.origin, control.running.first_secrets.api_token
    file = tmp_path / "catalog.yaml"
    file.write_text(FILE)
    assert run_apply(file, api_url=origin, token=token, dry_run=False) == 0
    capsys.readouterr()
    assert run_audit(api_url=origin, token=token, json=False) == 0
    assert capsys.readouterr().out == "1 accounts audited: nothing differs.\n"
    with control.running.database.begin() as transaction:
        transaction.exec_driver_sql("UPDATE account SET balance = 7")
    assert run_audit(api_url=origin, token=token, json=False) == 1
    line, verdict = capsys.readouterr().out.splitlines()
    assert line.startswith("sub_")
    assert line.endswith(": balance is 7; the ledger makes it 0")
    assert verdict == "1 accounts audited: 1 figures differ."
    assert run_audit(api_url=origin, token=token, json=True) == 1
    assert msgspec.json.decode(capsys.readouterr().out)["data"][0]["figure"] == "balance"
    assert run_audit(api_url=origin, token="wrong", json=False) == 1
