import psycopg
import pytest

from tests.support import postgres
from tests.support.postgres import PostgresServer


def _plain(url: str) -> str:
    return url.replace("+psycopg", "")


def test_the_tests_run_on_a_supported_postgresql_that_commits_before_it_answers(postgresql_url: str) -> None:
    with psycopg.connect(_plain(postgresql_url)) as connection:
        assert connection.info.server_version >= postgres.OLDEST_VERSION * 10_000
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_two_databases_share_nothing(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as first, postgres_server.database() as second:
        with psycopg.connect(_plain(postgres_server.url(first))) as connection:
            connection.execute("CREATE TABLE mark (id bigint)")
        with psycopg.connect(_plain(postgres_server.url(second))) as connection:
            assert connection.execute("SELECT to_regclass('mark')").fetchone() == (None,)


def test_a_database_can_start_as_a_copy_of_another(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as template:
        with psycopg.connect(_plain(postgres_server.url(template))) as connection:
            connection.execute("CREATE TABLE mark (id bigint)")
        with (
            postgres_server.database(template=template) as copy,
            psycopg.connect(_plain(postgres_server.url(copy))) as connection,
        ):
            assert connection.execute("SELECT to_regclass('mark')::text").fetchone() == ("mark",)


def test_a_database_is_dropped_even_while_someone_is_connected(postgres_server: PostgresServer) -> None:
    with postgres_server.database() as name:
        connection = psycopg.connect(_plain(postgres_server.url(name)))
    with connection, pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(_plain(postgres_server.url(name)))


def test_the_password_stays_out_of_the_servers_repr(postgres_server: PostgresServer) -> None:
    assert postgres_server.password not in repr(postgres_server)


def test_a_missing_postgresql_is_said_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_FOLDERS", ())
    monkeypatch.setenv("PATH", "")
    with pytest.raises(postgres.PostgresError, match="apt-get install postgresql"):
        postgres.find_programs()
