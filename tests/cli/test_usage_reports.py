import pytest

from faregate.apps.cli.usage_report_list import run_usage_reports
from tests.control.control_plane import Handle

REPORT = (
    '{"subscription_id": "sub_1", "company_id": "acme", "price_id": "prc_in", "value": "42",'
    ' "timestamp": "2026-03-10T12:00:00Z", "period_start": "2026-03-01T00:00:00Z"}'
)


def test_reports_are_shown_with_what_is_wrong_and_sent_again(
    control: Handle, capsys: pytest.CaptureFixture[str]
) -> None:
    secrets = control.running.first_secrets
    assert secrets is not None
    with control.running.database.begin() as transaction:
        transaction.exec_driver_sql(
            "INSERT INTO outbox (outbox_id, application_id, kind, key, subscription_id, payload, created_at, usage_at,"
            " failed_at, failure, last_error) VALUES (1204, ?, 'usage', 'mtr:acme', 'gone', ?, 1, 1, 1, 'refused',"
            " 'payload: is wrong')",
            (secrets.application_id, REPORT),
        )

    def show(*, status: str | None = None, resend: str | None = None) -> tuple[int, str]:
        token, url = secrets.api_token, control.running.origin
        done = run_usage_reports(status=status, resend=resend, api_url=url, token=token, json=False)
        return done, capsys.readouterr().out

    assert show(status="refused") == (
        0,
        "rpt_1204 refused: 42 units of prc_in by acme at 2026-03-10 12:00 UTC, failed 0 times: payload: is wrong\n",
    )
    assert show(status="lost") == (0, "No such report.\n")
    status, shown = show(resend="all")
    assert (status, "waiting" in shown) == (0, True)
    assert show(resend="rpt_9")[0] == 1
