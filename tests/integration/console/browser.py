"""A person at the console: one browser's cookies, the pages they see, the forms they send."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any, Self

from aiohttp import ClientResponse, CookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from ingress.console.access.authentication import Authenticator
from ingress.console.access.limits import LoginLimits
from ingress.console.access.origins import OriginPolicy
from ingress.console.delivery_history import DeliveryHistory
from ingress.console.exporter import EXPORTS_AT_ONCE, Exporter
from ingress.console.metrics import ConsoleMetrics
from ingress.console.plans import Plans
from ingress.console.replay_progress import ReplayProgress
from ingress.console.report_cache import ReportCache
from ingress.console.services import Services
from ingress.console.webhook_keys import WebhookKeys
from shared.ledger.books import Shop
from shared.ledger.database import Pool
from shared.ledger.roles import Role
from shared.ledger.sessions import Terms
from shared.observe.metrics import new_registry
from shared.sdrp.signature import SigningSecret
from tests.given import ENDPOINT
from tests.integration.console.furnished import PASSWORD

Client = TestClient[web.Request, web.Application]

ROLES = {"kessai-viewer": Role.VIEWER, "kessai-admin": Role.ADMIN, "sre": Role.OPERATOR}


SHOPS = {ENDPOINT: Shop(merchant="tea_house", allow_metered_payments=True)}


def services(
    pool: Pool,
    *,
    origins: OriginPolicy | None = None,
    limits: LoginLimits | None = None,
    approvals: int = 1,
    secrets: Mapping[str, Sequence[SigningSecret]] | None = None,
    webhook_keys: WebhookKeys | None = None,
    reports: ReportCache | None = None,
    exports_at_once: int = EXPORTS_AT_ONCE,
) -> Services:
    """What a console of the tests uses: one pool for everything."""
    origins = origins or OriginPolicy()
    return Services(
        pool=pool,
        origins=origins,
        authenticator=Authenticator(origins, ROLES, Terms()),
        metrics=ConsoleMetrics(new_registry()),
        limits=limits or LoginLimits(),
        plans=Plans(books=pool, handlers=pool, shops=SHOPS),
        reports=reports or ReportCache(pool, patience=20.0),
        exporter=Exporter(pool, at_once=exports_at_once),
        history=DeliveryHistory(pool),
        progress=ReplayProgress(pool),
        shops=SHOPS,
        secrets=secrets or {},
        approvals=approvals,
        webhook_keys=webhook_keys,
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer as it came."""

    status: int
    text: str
    headers: dict[str, str]
    cookies: dict[str, str]
    """Each Set-Cookie line by the cookie's name."""

    @classmethod
    async def of(cls, response: ClientResponse) -> Self:
        lines = response.headers.getall("Set-Cookie", [])
        return cls(
            response.status,
            await response.text(),
            dict(response.headers),
            {line.partition("=")[0]: line for line in lines},
        )

    @property
    def words(self) -> str:
        """What a reader reads, tags left out."""
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.text)).split())

    @property
    def form_token(self) -> str:
        found = re.search(r'name="form_token" value="([0-9a-f]{64})"', self.text)
        assert found is not None, self.words
        return found[1]


class Browser:
    """Follows no redirect by itself, so that each answer can be looked at."""

    def __init__(self, server: TestServer) -> None:
        self.client: Client = TestClient(server, cookie_jar=CookieJar(unsafe=True))

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.client.port}"

    @property
    def cookies(self) -> dict[str, str]:
        return {cookie.key: cookie.value for cookie in self.client.session.cookie_jar}

    def carry(self, **cookies: str) -> None:
        """Have these cookies, as if a browser had kept them."""
        self.client.session.cookie_jar.update_cookies(
            {name.replace("_", "-"): value for name, value in cookies.items()}, self.client.make_url("/")
        )

    async def get(self, path: str, *, headers: dict[str, str] | None = None, method: str = "GET") -> Seen:
        async with self.client.request(method, path, headers=headers, allow_redirects=False) as response:
            return await Seen.of(response)

    async def post(self, path: str, *, headers: Mapping[str, str] | None = None, **fields: str) -> Seen:
        async with self.client.post(path, data=fields, headers=headers, allow_redirects=False) as response:
            return await Seen.of(response)

    async def act(self, path: str, *, on: str = "/", headers: Mapping[str, str] | None = None, **fields: str) -> Seen:
        """Send a form as the page `on` gives it."""
        token = (await self.get(on)).form_token
        return await self.post(path, headers=headers, form_token=token, **fields)

    async def fill(self, path: str, form: Mapping[str, str], *, on: str = "/") -> Seen:
        """As `act`, for a form that was put together before."""
        fields: dict[str, Any] = dict(form)
        return await self.act(path, on=on, **fields)

    async def log_in(self, name: str, password: str = PASSWORD, *, onward: str = "/") -> Seen:
        return await self.act("/login", on="/login", name=name, password=password, next=onward)
