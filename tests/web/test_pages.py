import gzip
import re
from decimal import Decimal

import pytest

from tests.services.world import Call
from tests.web.conftest import Site


def test_every_answer_forbids_what_a_page_does_not_need(signed_in: Site) -> None:
    for path in ("/", "/customers", "/nothing", "/login"):
        headers = signed_in.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_no_page_bears_a_script_or_a_style_of_its_own(signed_in: Site) -> None:
    signed_in.api.subscribe()
    for path in ("/", "/customers", "/customers/acme", "/login", "/nothing"):
        text = signed_in.get(path).text
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", text), path


def test_a_path_that_is_none_is_a_page_that_says_so(signed_in: Site) -> None:
    answer = signed_in.get("/nothing")
    assert answer.status_code == 404
    assert "there is nothing at /nothing" in answer.text


def test_a_program_that_asks_for_no_page_is_told_in_a_problem_document(signed_in: Site) -> None:
    answer = signed_in.get("/nothing", accept="*/*")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == "there is nothing at /nothing"


def test_what_the_browser_loads_is_kept_for_good_and_sent_small(signed_in: Site) -> None:
    found = re.search(r'href="(/static/tabler[^"]+)"', signed_in.get("/").text)
    assert found, "web/build.mjs has not run: ./check does it, and needs Node.js 20 and npm"
    whole = signed_in.get(found[1], accept_encoding="identity")
    packed = signed_in.get(found[1], accept_encoding="gzip")
    assert "immutable" in whole.headers["cache-control"]
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == whole.content
    assert len(gzip.compress(whole.content)) < len(whole.content) / 4
    assert signed_in.get("/static/none.css").status_code == 404


def test_home_counts_what_needs_attention(signed_in: Site) -> None:
    signed_in.api.subscribe()
    text = " ".join(signed_in.get("/").text.split())
    counted = dict(re.findall(r'subheader">([^<]+)</div> <div class="h1 mb-1">([^<]+)<', text))
    assert counted == {"Customers": "1", "Out of credit": "1", "Overdue": "0", "Set aside": "0", "Not delivered": "0"}


def test_customers_are_listed_with_their_balance_and_found_by_name_or_id(signed_in: Site) -> None:
    api = signed_in.api
    api.grant(api.subscribe(), "2.50")
    api.post("/companies", {"company_id": "globex", "name": "Globex & <Sons>"})
    text = signed_in.get("/customers").text
    assert "2.50 USD" in text
    assert "Globex &amp; &lt;Sons&gt;" in text
    for search in ("SONS", "globe", "%26"):
        found = signed_in.get(f"/customers?search={search}", hx_request="true").text
        assert "globex" in found
        assert "acme" not in found
        assert "<html" not in found
    assert "No company has that" in signed_in.get("/customers?search=_").text


def test_a_list_goes_on_where_its_part_ended(signed_in: Site) -> None:
    for number in range(51):
        signed_in.api.post("/companies", {"company_id": f"company-{number:02}"})
    first = signed_in.get("/customers").text
    assert "company-49" in first
    assert "company-50" not in first
    link = re.search(r'href="(/customers\?[^"]+after[^"]+)"', first)
    assert link
    assert "company-50" in signed_in.get(link[1].replace("&amp;", "&")).text


def test_a_customer_shows_credit_usage_and_the_latest_movements(signed_in: Site) -> None:
    api = signed_in.api
    api.grant(api.subscribe(), "10")
    api.take(Call(prompt_tokens=1_000_001, completion_tokens=5))
    text = " ".join(signed_in.get("/customers/acme").text.split())
    assert "7.50 USD" in text
    assert "1000001" in text
    assert "999999" in text
    assert "-1.00 USD" in text
    assert signed_in.get("/customers/nobody").status_code == 404


def give(site: Site, subscription_id: str, *, amount: str, once: str = "one", part: bool = True) -> str:
    path = f"/customers/acme/subscriptions/{subscription_id}/grants"
    fields = {"form_token": site.form_token, "once": once, "amount": amount, "kind": "promotional"}
    answer = site.post(path, fields, **({"hx_request": "true"} if part else {}))
    return f"{answer.status_code} {' '.join(answer.text.split())}"


@pytest.mark.parametrize("part", [True, False])
def test_credit_that_a_form_gives_is_given_once_however_often_it_is_sent(signed_in: Site, *, part: bool) -> None:
    subscription_id = signed_in.api.subscribe()
    answers = [give(signed_in, subscription_id, amount="2.50", part=part) for _ in range(2)]
    assert {answer[:3] for answer in answers} == {"200" if part else "303"}
    balance = signed_in.api.get(f"/subscriptions/{subscription_id}/balance")["balance"]
    assert Decimal(balance) == Decimal("2.50")
    give(signed_in, subscription_id, amount="2.50", once="two", part=part)
    balance = signed_in.api.get(f"/subscriptions/{subscription_id}/balance")["balance"]
    assert Decimal(balance) == 5


@pytest.mark.parametrize(
    ("amount", "fault"),
    [
        ("-1", "must be above zero"),
        ("abc", "decimal"),
        ("1.0000000001", "more than 9"),
        ("", "is required"),
    ],
)
def test_a_form_that_cannot_be_taken_keeps_what_was_filled_in_and_says_why(
    signed_in: Site, amount: str, fault: str
) -> None:
    subscription_id = signed_in.api.subscribe()
    for part in (True, False):
        answer = give(signed_in, subscription_id, amount=amount, part=part)
        assert answer.startswith("422")
        assert fault in answer
        assert f'value="{amount}"' in answer
    assert signed_in.api.get(f"/subscriptions/{subscription_id}/grants")["data"] == []
