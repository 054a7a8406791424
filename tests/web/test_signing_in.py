import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from faregate.apps.web.visit import COOKIE
from faregate.services.sessions import IDLE_FOR, LASTS_FOR
from faregate.storage.database import Transaction
from faregate.storage.tables import operator_session
from tests.web.conftest import LOGIN, Site


def test_without_a_session_every_page_leads_to_the_sign_in_page_and_back(site: Site) -> None:
    answer = site.get("/customers/acme")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/customers/acme")
    assert 'value="/customers/acme"' in site.get(answer.headers["location"]).text
    assert site.sign_in(target="/customers/acme").headers["location"] == "/customers/acme"


def test_a_part_that_htmx_asks_for_leads_the_whole_page_to_the_sign_in_page(site: Site) -> None:
    answer = site.get("/customers", hx_request="true")
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login?next=/customers")


def test_the_printed_login_opens_a_session_in_a_cookie_that_no_script_can_read(site: Site) -> None:
    cookie = site.sign_in().headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert site.get("/").status_code == 200


def test_a_wrong_password_says_no_more_than_that(site: Site) -> None:
    answer = site.sign_in(password="nothing")
    assert answer.status_code == 401
    assert "The login or the password is wrong." in answer.text
    assert "set-cookie" not in answer.headers


def test_a_password_is_checked_while_something_is_written(site: Site) -> None:
    begun, done = threading.Event(), threading.Event()

    def write(transaction: Transaction) -> None:
        del transaction
        begun.set()
        done.wait(5)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(asyncio.run, site.api.database.write(write))
        assert begun.wait(5)
        assert site.sign_in(password="nothing").status_code == 401
        assert not writing.done()
        done.set()


def test_after_five_failures_the_login_has_to_wait_and_then_may_try_again(site: Site) -> None:
    for _ in range(5):
        assert site.sign_in(password="nothing").status_code == 401
    waiting = site.sign_in()
    assert waiting.status_code == 429
    assert "Try again in 2 s." in waiting.text
    site.api.clock.at += timedelta(seconds=2)
    assert site.sign_in().status_code == 303


def test_a_login_is_the_same_however_it_is_written(site: Site) -> None:
    for count in range(5):
        fields = {"login": LOGIN + "\0" * count, "password": "nothing"}
        assert site.post("/login", fields).status_code == 401
    assert site.sign_in().status_code == 429


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", "evil"])
def test_nobody_is_led_to_another_site_by_signing_in(site: Site, target: str) -> None:
    assert site.sign_in(target=target).headers["location"] == "/"


def test_signing_out_ends_the_session_for_whoever_has_its_cookie(signed_in: Site) -> None:
    cookie = signed_in.client.cookies[COOKIE]
    assert signed_in.post("/logout", {"form_token": signed_in.form_token}).status_code == 303
    signed_in.client.cookies.set(COOKIE, cookie)
    assert signed_in.get("/").status_code == 303


@pytest.mark.parametrize("form_token", ["", "x"])
def test_a_form_of_another_site_is_refused(signed_in: Site, form_token: str) -> None:
    answer = signed_in.post("/logout", {"form_token": form_token})
    assert answer.status_code == 403
    assert "open the page again" in answer.text
    assert signed_in.get("/").status_code == 200


def test_a_session_ends_when_it_is_not_used_and_in_any_case_after_a_week(signed_in: Site) -> None:
    clock = signed_in.api.clock
    started_at = clock.at
    while clock.at + IDLE_FOR / 2 < started_at + LASTS_FOR:
        clock.at += IDLE_FOR / 2
        assert signed_in.get("/").status_code == 200
    clock.at = started_at + LASTS_FOR
    assert signed_in.get("/").status_code == 303
    signed_in.sign_in()
    clock.at += IDLE_FOR
    assert signed_in.get("/").status_code == 303


def test_only_hashes_of_cookies_are_kept_and_ended_sessions_are_forgotten(signed_in: Site) -> None:
    cookie = signed_in.client.cookies[COOKIE]
    signed_in.api.clock.at += IDLE_FOR + timedelta(seconds=1)
    signed_in.client.cookies.clear()
    signed_in.sign_in()
    with signed_in.api.database.snapshot() as transaction:
        (row,) = transaction.execute(select(operator_session)).all()
    assert cookie not in str(row)
    assert signed_in.client.cookies[COOKIE] not in str(row)
