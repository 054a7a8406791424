"""Companies, users and API keys."""

from __future__ import annotations

from typing import Annotated

from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.services import customers
from faregate.storage import customers as stored
from faregate.storage.customers import CompanyRow, KeyRow, UserRow
from faregate.wire.api.common import Page
from faregate.wire.api.customers import (
    CompanyCreate,
    CompanyView,
    KeyCreate,
    KeyView,
    NameChange,
    NewKeyView,
    UserCreate,
    UserView,
)

OfCompany = Annotated[str | None, QueryParameter(name="company_id", description="Only those of this company.")]


@get("/companies", summary="List companies", tags=["Customers"])
async def list_companies(call: NamedDependency[Call], paging: NamedDependency[Paging]) -> Page[CompanyView]:
    """Companies, in the order of their ids."""
    rows = await call.read(
        lambda tx: stored.list_companies(tx, call.application_id, after=paging.after, limit=paging.rows)
    )
    return paging.page(rows, lambda row: row.company_id, _company)


@post("/companies", summary="Add a company", tags=["Customers"])
async def make_company(call: NamedDependency[Call], data: JSONBody[CompanyCreate]) -> CompanyView:
    """Add a customer under an id of your own."""
    return _company(await call.change(lambda tx, change: customers.create_company(tx, change, data)))


@get("/companies/{company_id:str}", summary="Get a company", tags=["Customers"])
async def get_company(call: NamedDependency[Call], company_id: FromPath[str]) -> CompanyView:
    """Return one company."""
    return _company(await call.read(lambda tx: customers.find_company(tx, call.application_id, company_id)))


@patch("/companies/{company_id:str}", summary="Rename a company", tags=["Customers"])
async def patch_company(
    call: NamedDependency[Call], company_id: FromPath[str], data: JSONBody[NameChange]
) -> CompanyView:
    """Give a company another name; its id stays."""
    return _company(
        await call.change(lambda tx, change: customers.rename_company(tx, change, company_id, name=data.name))
    )


@get("/users", summary="List users", tags=["Customers"])
async def list_users(
    call: NamedDependency[Call], paging: NamedDependency[Paging], company_id: OfCompany = None
) -> Page[UserView]:
    """Users, in the order of their ids."""
    rows = await call.read(
        lambda tx: stored.list_users(
            tx, call.application_id, company_id=company_id, after=paging.after, limit=paging.rows
        )
    )
    return paging.page(rows, lambda row: row.user_id, _user)


@post("/users", summary="Add a user", tags=["Customers"])
async def make_user(call: NamedDependency[Call], data: JSONBody[UserCreate]) -> UserView:
    """Add a person or key holder to a company, under an id of your own."""
    return _user(await call.change(lambda tx, change: customers.create_user(tx, change, data)))


@get("/users/{user_id:str}", summary="Get a user", tags=["Customers"])
async def get_user(call: NamedDependency[Call], user_id: FromPath[str]) -> UserView:
    """Return one user."""
    return _user(await call.read(lambda tx: customers.find_user(tx, call.application_id, user_id)))


@patch("/users/{user_id:str}", summary="Rename a user", tags=["Customers"])
async def patch_user(call: NamedDependency[Call], user_id: FromPath[str], data: JSONBody[NameChange]) -> UserView:
    """Give a user another name; the id and the company stay."""
    return _user(await call.change(lambda tx, change: customers.rename_user(tx, change, user_id, name=data.name)))


@get("/keys", summary="List keys", tags=["Keys"])
async def list_keys(
    call: NamedDependency[Call], paging: NamedDependency[Paging], company_id: OfCompany = None
) -> Page[KeyView]:
    """API keys, revoked ones too, in the order in which they were made. Their texts are not kept."""
    rows = await call.read(
        lambda tx: stored.list_keys(
            tx, call.application_id, company_id=company_id, after=paging.after, limit=paging.rows
        )
    )
    return paging.page(rows, lambda row: row.key_id, _key)


@post("/keys", summary="Make a key", tags=["Keys"])
async def make_key(call: NamedDependency[Call], data: JSONBody[KeyCreate]) -> NewKeyView:
    """Make an API key. The answer is the only place where its text is shown."""
    new = await call.change(lambda tx, change: customers.create_key(tx, change, data))
    return NewKeyView(
        key_id=new.row.key_id,
        key=new.text,
        company_id=new.row.company_id,
        user_id=new.row.user_id,
        name=new.row.name,
        hint=new.row.hint,
        replay=new.row.replay,
        created_at=new.row.created_at,
    )


@get("/keys/{key_id:str}", summary="Get a key", tags=["Keys"])
async def get_key(call: NamedDependency[Call], key_id: FromPath[str]) -> KeyView:
    """Return one key, without its text."""
    return _key(await call.read(lambda tx: customers.find_key(tx, call.application_id, key_id)))


@delete("/keys/{key_id:str}", summary="Revoke a key", tags=["Keys"])
async def remove_key(call: NamedDependency[Call], key_id: FromPath[str]) -> None:
    """Revoke a key, for good. It stays in the list."""
    await call.change(lambda tx, change: customers.revoke_key(tx, change, key_id))


def _company(row: CompanyRow) -> CompanyView:
    return CompanyView(company_id=row.company_id, name=row.name, created_at=row.created_at)


def _user(row: UserRow) -> UserView:
    return UserView(user_id=row.user_id, company_id=row.company_id, name=row.name, created_at=row.created_at)


def _key(row: KeyRow) -> KeyView:
    return KeyView(
        key_id=row.key_id,
        company_id=row.company_id,
        user_id=row.user_id,
        name=row.name,
        hint=row.hint,
        replay=row.replay,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )


HANDLERS = [
    list_companies,
    make_company,
    get_company,
    patch_company,
    list_users,
    make_user,
    get_user,
    patch_user,
    list_keys,
    make_key,
    get_key,
    remove_key,
]
