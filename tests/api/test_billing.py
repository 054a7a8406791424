from datetime import datetime
from pathlib import Path

from faregate.base.errors import Unavailable
from faregate.domain.billing.provider import ProviderInvoice
from faregate.providers.embedded.provider import EmbeddedProvider
from tests.api.world import Api, opened_api, problem
from tests.services.world import Call


def _advance(api: Api, to: str) -> None:
    api.post("/clock/advance", {"to": to})


def test_business_time_moves_forward_by_seconds_or_to_an_instant(api_on_both: Api) -> None:
    api = api_on_both
    assert api.get("/clock") == {"now": "2026-03-10T12:00:00Z", "ahead_by_seconds": "0"}
    moved = api.post("/clock/advance", {"by_seconds": 90})
    assert moved == {"now": "2026-03-10T12:01:30Z", "ahead_by_seconds": "90"}
    assert api.post("/clock/advance", {"to": "2026-03-11T00:00:00+02:00"})["now"] == "2026-03-10T22:00:00Z"
    assert api.get("/clock")["now"] == "2026-03-10T22:00:00Z"


def test_a_month_ends_in_an_invoice_that_becomes_overdue_and_is_paid(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = api.subscribe(pays="postpaid")
    api.take(Call(prompt_tokens=1_200_000, completion_tokens=300_000))
    assert api.get("/invoices")["data"] == []
    _advance(api, "2026-04-01T00:10:00Z")
    for _ in range(3):  # a pass of the clock: what one delivers, the next one closes
        if api.get("/invoices")["data"]:
            break
        api.post("/clock/advance", {"by_seconds": 60})
    (invoice,) = api.get("/invoices?company_id=acme")["data"]
    assert invoice["subscription_id"] == subscription_id
    assert [(line["quantity"], line["amount"]) for line in invoice["lines"]] == [
        ("1200000", "1.00"),
        ("300000", "1.50"),
    ]
    assert (invoice["total"], invoice["credit_applied"], invoice["amount_due"]) == ("2.50", "0.00", "2.50")
    assert (invoice["status"], invoice["overdue"], invoice["paid_at"]) == ("open", False, None)
    _advance(api, invoice["due_at"])
    assert api.get(f"/invoices/{invoice['invoice_id']}")["overdue"] is True
    paid = api.post(f"/invoices/{invoice['invoice_id']}/pay")
    assert (paid["status"], paid["overdue"]) == ("paid", False)
    assert api.post(f"/invoices/{invoice['invoice_id']}/pay") == paid
    assert api.get("/invoices?company_id=beta")["data"] == []


def test_a_provider_that_is_away_is_told_as_such_and_paying_again_is_safe(sqlite_url: str, tmp_path: Path) -> None:
    away = [False, True, True, True]  # as often as it is tried, then there again

    class Away(EmbeddedProvider):
        def pay_invoice(self, invoice_id: str, *, paid_at: datetime) -> ProviderInvoice:
            if away.pop():
                raise Unavailable("the billing provider did not answer")
            return super().pay_invoice(invoice_id, paid_at=paid_at)

    with opened_api(sqlite_url, tmp_path, provider_type=Away) as api:
        api.subscribe(pays="postpaid")
        api.take(Call())
        _advance(api, "2026-04-01T00:10:00Z")
        path = f"/invoices/{api.get('/invoices')['data'][0]['invoice_id']}/pay"
        answer = api.ask("POST", path)
        assert problem(answer, 503) == {}
        assert answer.headers["retry-after"] == "1"
        assert api.post(path)["status"] == "paid"


def test_the_next_invoice_is_previewed_and_becomes_the_invoice(api_on_both: Api) -> None:
    api = api_on_both
    path = f"/subscriptions/{api.subscribe(pays='postpaid')}/upcoming-invoice"
    api.take(Call(prompt_tokens=1_200_000, completion_tokens=300_000))
    seen = api.get(path)
    assert (seen["total"], seen["closed"], seen["open_windows"]) == ("2.50", False, 2)
    assert api.get(f"{path}?at=2026-03-10T12:00:00Z") == seen
    assert api.get(f"{path}?at=2026-04-10T12:00:00Z")["lines"] == []
    assert problem(api.ask("GET", f"{path}?at=2026-02-10T12:00:00Z"), 400)["at"].startswith("must be an instant")
    assert problem(api.ask("GET", f"{path}?at=soon"), 400).keys() == {"at"}
    _advance(api, "2026-04-01T00:10:00Z")
    for _ in range(3):
        if api.get("/invoices")["data"]:
            break
        api.post("/clock/advance", {"by_seconds": 60})
    (invoice,) = api.get("/invoices")["data"]
    assert {name: invoice[name] for name in ("lines", "total", "credit_applied", "amount_due")} == {
        name: seen[name] for name in ("lines", "total", "credit_applied", "amount_due")
    }
    problem(api.ask("GET", "/subscriptions/sub_9/upcoming-invoice"), 404)


def test_late_usage_is_listed_as_an_adjustment_and_a_line_of_the_next_invoice(api_on_both: Api) -> None:
    api = api_on_both
    subscription_id = api.subscribe(pays="postpaid")
    api.take(Call(request_id="a", prompt_tokens=1_000_000, completion_tokens=0))
    api.post("/clock/advance", {"to": "2026-04-01T00:02:00Z"})
    api.take(*(Call(request_id=f"b{n}", prompt_tokens=1, completion_tokens=0, sequence=n) for n in (2, 3)))
    api.take(Call(request_id="c", prompt_tokens=1, completion_tokens=0, sequence=4))
    first = api.get(f"/adjustments?subscription_id={subscription_id}&limit=1")
    rest = api.get(f"/adjustments?limit=1&cursor={first['next_cursor']}")
    assert rest["next_cursor"] is None
    rows = first["data"] + rest["data"]
    assert [(row["source"], row["quantity"], row["amount"]) for row in rows] == [
        ("late_event", "2", "0.50"),
        ("late_event", "1", "0.00"),
    ]
    assert {row["billed_in_period"] for row in rows} == {None}
    assert api.get("/adjustments?subscription_id=another")["data"] == []
    api.post("/clock/advance", {"to": "2026-05-01T00:02:00Z"})
    old, new = api.get("/invoices")["data"]
    (line,) = new["lines"]
    assert (line["adjusts_period"], line["adjusted_invoice_id"], line["amount"]) == (
        "2026-03-01T00:00:00Z",
        old["invoice_id"],
        "0.50",
    )
    assert {row["billed_in_period"] for row in api.get("/adjustments")["data"]} == {"2026-04-01T00:00:00Z"}
