from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from httpx import Response
from litestar.testing import TestClient

from faregate.apps.web.app import create_web
from tests.api.world import Api, opened_api

LOGIN = "admin"


@dataclass
class Site:
    """The pages as a browser without JavaScript gets them, beside the management API on the same database."""

    client: TestClient[Any]
    api: Api

    def get(self, path: str, **headers: str) -> Response:
        sent = {name.replace("_", "-"): value for name, value in ({"accept": "text/html"} | headers).items()}
        return self.client.get(path, headers=sent, follow_redirects=False)

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Response:
        sent = {name.replace("_", "-"): value for name, value in ({"accept": "text/html"} | headers).items()}
        return self.client.post(path, data=fields, headers=sent, follow_redirects=False)

    def sign_in(self, *, password: str | None = None, target: str = "/") -> Response:
        secret = self.api.secrets.password if password is None else password
        return self.post("/login", {"login": LOGIN, "password": secret, "next": target})

    @property
    def form_token(self) -> str:
        """The token that the pages of this session put into their forms."""
        page = self.get("/").text
        return page.split('name="form_token" value="', 1)[1].split('"', 1)[0]


@pytest.fixture
def site(database_url: str, tmp_path: Path) -> Iterator[Site]:
    with opened_api(database_url, tmp_path) as api, TestClient(create_web(api.database, api.clock)) as client:
        yield Site(client=client, api=api)


@pytest.fixture
def signed_in(site: Site) -> Site:
    assert site.sign_in().status_code == 303
    return site
