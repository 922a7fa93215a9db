"""A script that calls the admin API with a token; whatever it is told must be as the document says."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from aiohttp.test_utils import TestServer
from yarl import URL

from ingress.api import openapi
from ingress.api.failures import Failures
from ingress.console.access.requests import Frontier
from ingress.console.api.door import ABOUT, TITLE, Api
from ingress.console.api.operation import ROOT
from ingress.console.api.table import OPERATIONS
from ingress.console.exporter import EXPORTS_AT_ONCE, Exporter
from ingress.console.metrics import ConsoleMetrics
from ingress.console.plans import Plans
from ingress.console.reckoning import Reckoning
from ingress.console.site import Site
from shared.ledger.books import Shop
from shared.ledger.database import Pool
from shared.observe.metrics import new_registry
from tests.given import ENDPOINT, SECRET
from tests.integration.console.desk import ROLES, Desk
from tests.integration.told import Told, conform

SHOPS = {ENDPOINT: Shop(merchant="tea_house", allow_metered_payments=True)}
MANY = Failures(allowed=10**9, within=1.0, clock=lambda: 0.0)
"""As good as no limit."""


def console(
    pool: Pool,
    *,
    frontier: Frontier | None = None,
    failures: Failures | None = None,
    approvals: int = 1,
    exports_at_once: int = EXPORTS_AT_ONCE,
) -> Site:
    """The console with its API, as `kessai console` puts it together."""
    frontier = frontier or Frontier()
    plans, reckoning = Plans(books=pool, handlers=pool, shops=SHOPS), Reckoning(pool)
    exporter = Exporter(pool, at_once=exports_at_once)
    api = Api(
        pool=pool,
        exporter=exporter,
        plans=plans,
        reckoning=reckoning,
        frontier=frontier,
        shops=SHOPS,
        secrets={ENDPOINT: (SECRET,)},
        approvals=approvals,
        failures=failures or MANY,
    )
    return Site(
        pool=pool,
        frontier=frontier,
        roles=ROLES,
        metrics=ConsoleMetrics(new_registry()),
        plans=plans,
        reckoning=reckoning,
        exporter=exporter,
        shops=SHOPS,
        approvals=approvals,
        api=api.app,
    )


@cache
def document() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(openapi.document(OPERATIONS, title=TITLE, about=ABOUT, root=ROOT))
    return told


class Script:
    """Without a token a stranger."""

    def __init__(self, server: TestServer, token: str | None) -> None:
        self._desk = Desk(server)
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
        url = URL(f"{self._desk.origin}{ROOT}{path}", encoded=True)
        async with self._desk.client.session.request(
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
        return self._desk.client.session
