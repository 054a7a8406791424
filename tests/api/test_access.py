import base64

import pytest
from sqlalchemy import Table, select

from faregate.base.ids import new_id
from faregate.services.credentials import new_collector_id
from faregate.services.setup import ensure_application
from faregate.storage.database import Database
from faregate.storage.tables import api_token, application, operator
from tests.api.world import NOW, Api, problem
from tests.support.tables import ensure_tables


def _basic(login: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{login}:{password}".encode()).decode()


def test_the_first_start_makes_an_application_and_the_second_changes_nothing(database_url: str) -> None:
    database = Database(database_url)
    with database.begin() as transaction:
        ensure_tables(transaction)
        secrets = ensure_application(transaction, new_id=new_id, now=NOW)
    assert secrets is not None
    with database.begin() as transaction:
        before = _rows(database, application, operator, api_token)
        assert ensure_application(transaction, new_id=new_id, now=NOW) is None
    assert _rows(database, application, operator, api_token) == before
    database.close()


def test_secrets_are_kept_as_hashes_alone(api: Api) -> None:
    kept = str(_rows(api.database, application, operator, api_token))
    for secret in (api.secrets.password, api.secrets.api_token, api.secrets.collector_id):
        assert secret not in kept
        assert secret not in repr(api.secrets)


def test_a_collector_id_is_long_and_random_to_its_end(api: Api) -> None:
    others = {new_collector_id()[-10:] for _ in range(100)}
    assert len(others) == 100
    assert len(api.secrets.collector_id) >= 60


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Bearer fg_api_wrong", "Basic YTpi", "fg_api_x"])
def test_without_a_known_token_nothing_is_answered(api: Api, header: str) -> None:
    answer = api.ask("GET", "/plans", authorization=header)
    assert problem(answer, 401) == {}
    assert answer.headers["www-authenticate"] == "Bearer"


def test_an_operator_makes_a_token_that_works_at_once(api: Api) -> None:
    login = _basic(api.secrets.login, api.secrets.password)
    made = api.post("/tokens", {"name": "deploys"}, authorization=login)
    assert api.ask("GET", "/application", authorization=f"Bearer {made['token']}").json()["name"] == "My AI API"


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!!", "Basic /w==", _basic("admin", "wrong"), _basic("a\0", "")]
)
def test_a_wrong_password_makes_no_token(api: Api, header: str) -> None:
    answer = api.ask("POST", "/tokens", body=b'{"name":"x"}', authorization=header)
    assert problem(answer, 401) == {}
    assert answer.headers["www-authenticate"] == "Basic"
    assert api.row_counts()["api_token"] == 1


def test_a_token_does_not_make_tokens(api: Api) -> None:
    assert problem(api.ask("POST", "/tokens", body=b'{"name":"x"}'), 401) == {}


def _rows(database: Database, *tables: Table) -> list[tuple[object, ...]]:
    with database.snapshot() as transaction:
        return [tuple(row) for table in tables for row in transaction.execute(select(table))]
