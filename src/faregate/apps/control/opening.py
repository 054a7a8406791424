"""What happens before the control plane listens: migrations, the first application, the command line's own token."""

from __future__ import annotations

from pathlib import Path

from faregate.apps.secret_files import CLI_TOKEN_FILE, read_secret, write_secret
from faregate.base.clock import Clock
from faregate.base.errors import Unauthorized
from faregate.base.ids import new_id
from faregate.services.access import application_of_token, issue_token
from faregate.services.gateway_calls import main_application
from faregate.services.setup import FirstSecrets, ensure_application
from faregate.storage.database import Database, Transaction
from faregate.storage.schema import migrate


async def prepare(database: Database, *, data: Path, clock: Clock) -> FirstSecrets | None:
    """Bring the database up to date; return what the first start made, None on every later one."""
    await database.write(migrate)
    made = await database.write(lambda tx: ensure_application(tx, new_id=new_id, now=clock.now()))
    token_file = data / CLI_TOKEN_FILE
    kept = read_secret(token_file)
    if kept is None or not await database.read(lambda tx: _is_known(tx, kept)):
        write_secret(token_file, await database.write(lambda tx: _new_token(tx, clock)))
    return made


def _is_known(transaction: Transaction, token: str) -> bool:
    try:
        application_of_token(transaction, token)
    except Unauthorized:
        return False
    return True


def _new_token(transaction: Transaction, clock: Clock) -> str:
    application_id = main_application(transaction)
    token = issue_token(transaction, application_id=application_id, name="command line", new_id=new_id, now=clock.now())
    return token.text
