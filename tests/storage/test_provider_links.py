from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import IntegrityError

from faregate.domain.billing.provider_links import LinkKind, ProviderLink
from faregate.storage.database import Database
from faregate.storage.provider_links import LinkedThing, find_linked, keep_links, read_links
from faregate.storage.schema import migrate

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LINK = ProviderLink(kind=LinkKind.CUSTOMER, our_id="com_1", provider_id="cus_1")


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Database]:
    with closing(Database(empty_database_url)) as database:
        with database.begin() as transaction:
            migrate(transaction)
        yield database


def keep(database: Database, *links: ProviderLink, application: str = "app_1", account: str = "acct_1") -> None:
    with database.begin() as transaction:
        keep_links(transaction, links, application_id=application, account=account, now=NOW)


def test_a_link_is_found_from_both_sides_in_its_own_application_and_account(database: Database) -> None:
    keep(database, LINK)
    other = ProviderLink(kind=LinkKind.CUSTOMER, our_id="com_1", provider_id="cus_9")
    keep(database, other, account="acct_2")
    with database.snapshot() as transaction:
        mine = read_links(transaction, application_id="app_1", account="acct_1", our_ids=["com_1", "com_2"])
        others = read_links(transaction, application_id="app_2", account="acct_1", our_ids=["com_1"])
        there = read_links(transaction, application_id="app_1", account="acct_2", our_ids=["com_1"])
        found = find_linked(transaction, account="acct_1", kind=LinkKind.CUSTOMER, provider_id="cus_1")
        elsewhere = find_linked(transaction, account="acct_2", kind=LinkKind.CUSTOMER, provider_id="cus_1")
    assert (mine, others, there) == ([LINK], [], [other])
    assert found == [LinkedThing(application_id="app_1", our_id="com_1")]
    assert elsewhere == []


def test_a_link_kept_again_changes_nothing_and_a_newer_one_takes_its_place(database: Database) -> None:
    newer = ProviderLink(kind=LinkKind.CUSTOMER, our_id="com_1", provider_id="cus_2")
    keep(database, LINK)
    keep(database, LINK, newer)
    with database.snapshot() as transaction:
        assert read_links(transaction, application_id="app_1", account="acct_1", our_ids=["com_1"]) == [newer]
        assert find_linked(transaction, account="acct_1", kind=LinkKind.CUSTOMER, provider_id="cus_1") == []


def test_an_object_stands_for_one_thing_of_an_application(database: Database) -> None:
    keep(database, LINK)
    keep(database, LINK, application="app_2")
    with pytest.raises(IntegrityError):
        keep(database, ProviderLink(kind=LinkKind.CUSTOMER, our_id="com_2", provider_id="cus_1"))
