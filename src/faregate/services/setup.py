"""The first start: make the application, the operator's login, an API token and a collector id."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from faregate.base.ids import IdSource
from faregate.services.access import issue_token
from faregate.services.credentials import hash_password, hash_secret, new_collector_id, new_password
from faregate.storage.applications import ApplicationRow, insert_application, insert_operator, list_applications
from faregate.storage.database import Transaction
from faregate.storage.state_feed import record_change

FIRST_APPLICATION_NAME: Final = "My AI API"
FIRST_LOGIN: Final = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstSecrets:
    """What the first start made, for the operator's eyes: only hashes of it are kept."""

    application_id: str
    login: str
    password: str = field(repr=False)
    api_token: str = field(repr=False)
    collector_id: str = field(repr=False)


def ensure_application(transaction: Transaction, *, new_id: IdSource, now: datetime) -> FirstSecrets | None:
    """Make the first application and its secrets; return None, and change nothing, where there is one already."""
    if list_applications(transaction):
        return None
    application_id = new_id("app")
    collector_id, password = new_collector_id(), new_password()
    insert_application(
        transaction,
        ApplicationRow(
            application_id=application_id, name=FIRST_APPLICATION_NAME, clock_offset_us=0, generation=1, created_at=now
        ),
        collector_id_hash=hash_secret(collector_id),
    )
    record_change(transaction, "clock", application_id)
    insert_operator(transaction, FIRST_LOGIN, password_hash=hash_password(password), created_at=now)
    token = issue_token(transaction, application_id=application_id, name="first start", new_id=new_id, now=now)
    return FirstSecrets(
        application_id=application_id,
        login=FIRST_LOGIN,
        password=password,
        api_token=token.text,
        collector_id=collector_id,
    )
