import pytest

from faregate.apps.cli.reconciling import run_reconcile
from tests.control.control_plane import Handle


def test_reconciling_ends_with_status_1_where_something_differs_and_names_it_in_a_line(
    control: Handle, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = control.running.first_secrets
    assert secrets is not None

    def run(*, token: str = secrets.api_token, json: bool = False) -> tuple[int, str]:
        url = control.running.origin
        return run_reconcile(from_at=None, to_at=None, api_url=url, token=token, json=json), capsys.readouterr().out

    status, told = run()
    assert (status, told.startswith("0 windows of 0 customers"), "nothing differs." in told) == (0, True, True)
    at = int(control.running.clock.now().timestamp() - 7_200) * 1_000_000
    report = (
        '{"subscription_id": "sub_1", "company_id": "acme", "price_id": "prc_in", "value": "42",'
        f' "timestamp": "{control.running.clock.now().date().isoformat()}T00:00:00Z",'
        ' "period_start": "2026-03-01T00:00:00Z"}'
    )
    with control.running.database.begin() as transaction:
        transaction.exec_driver_sql(
            "INSERT INTO outbox (outbox_id, application_id, kind, key, subscription_id, payload, created_at, usage_at,"
            " failed_at, failure) VALUES (1204, ?, 'usage', 'mtr:acme', 'gone', ?, 1, ?, 1, 'refused')",
            (secrets.application_id, report, at),
        )
    status, told = run()
    assert status == 1
    assert "acme prc_in" in told
    assert "not_sent: the ledger has 0, reports 42, sent 0 (rpt_1204)" in told
    assert run(json=True)[0] == 1
    assert run(token="wrong")[0] == 1
