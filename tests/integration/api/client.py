"""A client that calls the admin API with a token; whatever it is told must be as the document says."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from aiohttp.test_utils import TestServer
from yarl import URL

from ingress.api import openapi
from ingress.api.failures import Failures
from ingress.console.access.origins import OriginPolicy
from ingress.console.api.application import ABOUT, TITLE, Api
from ingress.console.api.operation import ROOT
from ingress.console.api.table import OPERATIONS
from ingress.console.exporter import EXPORTS_AT_ONCE
from ingress.console.report_cache import ReportCache
from ingress.console.site import Site
from shared.ledger.books import Shop
from shared.ledger.database import Pool
from tests.given import ENDPOINT, SECRET
from tests.integration.console.browser import Browser, services
from tests.integration.told import Told, conform

SHOPS = {ENDPOINT: Shop(merchant="tea_house", allow_metered_payments=True)}
MANY = Failures(allowed=10**9, within=1.0, clock=lambda: 0.0)
"""As good as no limit."""


def console(
    pool: Pool,
    *,
    origins: OriginPolicy | None = None,
    failures: Failures | None = None,
    approvals: int = 1,
    exports_at_once: int = EXPORTS_AT_ONCE,
) -> Site:
    """The console with its API, as `kessai console` puts it together."""
    shared = services(
        pool,
        origins=origins,
        secrets={ENDPOINT: (SECRET,)},
        approvals=approvals,
        exports_at_once=exports_at_once,
        reports=ReportCache(pool),
    )
    return Site(shared, api=Api(shared, failures=failures or MANY).app)


@cache
def document() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(openapi.document(OPERATIONS, title=TITLE, about=ABOUT, root=ROOT))
    return told


class ApiClient:
    """Without a token a stranger."""

    def __init__(self, server: TestServer, token: str | None) -> None:
        self._browser = Browser(server)
        self.token = token

    async def get(self, path: str, **query: object) -> Told:
        return await self.call("GET", path, query={name: str(value) for name, value in query.items()})

    async def post(self, path: str, **body: object) -> Told:
        return await self.call("POST", path, data=json.dumps(body).encode())

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Told:
        """`path` as it goes over the wire."""
        sent = {"Authorization": f"Bearer {self.token}"} if self.token is not None else {}
        if data is not None:
            sent["Content-Type"] = "application/json"
        url = URL(f"{self._browser.origin}{ROOT}{path}", encoded=True)
        async with self._browser.client.session.request(
            method,
            url.with_query(dict(query)) if query else url,
            data=data,
            headers={**sent, **(headers or {})},
            allow_redirects=False,
        ) as response:
            told = Told(response.status, await response.read(), response.headers.copy())
        conform(document(), method, path.partition("?")[0], told)
        return told

    async def walk(self, path: str, *, limit: int, **query: object) -> list[dict[str, Any]]:
        """Every item of a list, page by page."""
        found: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await self.get(path, limit=limit, **query, **({"cursor": cursor} if cursor else {}))
            assert len(page.items) <= limit
            found += page.items
            cursor = page.json["next_cursor"]
        return found

    @property
    def session(self) -> Any:  # noqa: ANN401 - aiohttp's own, to be closed
        return self._browser.client.session
