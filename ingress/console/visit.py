"""What does a page have at hand? The request, who asks, the books, and the ways to answer."""

import base64
import hashlib
import hmac
import math
import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson
from aiohttp import web
from jinja2 import Environment
from yarl import URL

from ingress.console import cursors
from ingress.console.access import devices
from ingress.console.access.limits import LoginLimits
from ingress.console.access.requests import Frontier, form_token
from ingress.console.access.visitors import Reception, Visitor
from ingress.console.cursors import InvalidCursor, Maker
from ingress.console.exporter import Exporter
from ingress.console.forms import FRESH
from ingress.console.keyring import Keyring
from ingress.console.metrics import ConsoleMetrics
from ingress.console.plans import Plans
from ingress.console.pulse import Pulse
from ingress.console.queues import Queues
from ingress.console.reckoning import Reckoning, RevenueTerms
from ingress.console.shown import link
from ingress.console.watch import Watch
from shared.ledger.books import Shop
from shared.ledger.database import Connection, Pool, connected
from shared.ledger.passwords import Verifier
from shared.ledger.roles import Role
from shared.ledger.slices import Place
from shared.ledger.text import is_keepable
from shared.ledger.users import Credentials
from shared.sdrp.signature import SigningSecret

PAGE_ROWS: Final = 50
MAX_VALUE: Final = 1000
"""Characters of a query parameter."""
TOLD_SECONDS: Final = 60
"""How long a message waits for the page that shows it."""


@dataclass(frozen=True, slots=True)
class Services:
    """What every visit shares."""

    pool: Pool
    environment: Environment
    frontier: Frontier
    reception: Reception
    limits: LoginLimits
    metrics: ConsoleMetrics
    verifier: Verifier
    pulse: Pulse
    queues: Queues | None
    """None: the console was not told where RabbitMQ is."""
    plans: Plans
    watch: Watch
    shops: Mapping[str, Shop]
    """What the merchant decided for each endpoint."""
    secrets: Mapping[str, Sequence[SigningSecret]]
    """Of each endpoint, what signatures are proved with again; empty where the console was given none."""
    approvals: int
    """People it takes to decide on a review where money moves."""
    reckoning: Reckoning
    revenue: RevenueTerms
    exporter: Exporter
    keyring: Keyring | None = None


class Tone(StrEnum):
    DONE = "done"
    REFUSED = "refused"


class Failed(Exception):
    """What a visit comes to when it cannot have its page: status, headline, and what to do next in words."""

    def __init__(
        self,
        status: int,
        headline: str,
        advice: str = "",
        *,
        retry_after: float | None = None,
        allowed: Collection[str] = (),
    ) -> None:
        super().__init__(headline)
        self.status = status
        self.headline = headline
        self.advice = advice
        self.retry_after = retry_after
        """Seconds."""
        self.allowed = allowed
        """Methods that would have been."""


def not_found(headline: str) -> Failed:
    return Failed(404, headline, "Check the id: it must be whole. The search above takes ids of every kind.")


@dataclass(slots=True)
class Visit:
    """One request on its way to its answer."""

    request: web.Request
    services: Services
    visitor: Visitor | None = None
    is_proxied_login: bool = False
    """The proxy vouches: there is no session of ours to end."""
    path: str = ""
    """Of the page that is shown; an act may be answered by the page that it was sent from."""
    _fresh_secret: str | None = field(default=None)

    def __post_init__(self) -> None:
        self.path = self.path or self.request.path

    @asynccontextmanager
    async def books(self) -> AsyncIterator[Connection]:
        """Raises DatabaseUnavailable, TransientConflict or UnacceptableRow; each has a page of its own."""
        async with connected(self.services.pool) as connection:
            yield connection

    @property
    def person(self) -> Visitor:
        """Who asks, on pages that only people who came in can reach."""
        if self.visitor is None:
            raise Failed(401, "Log in first")
        return self.visitor

    def may(self, needed: Role) -> bool:
        return self.visitor is not None and self.visitor.role.covers(needed)

    @property
    def came_from(self) -> str | None:
        """The page of ours that an act was sent from, as far as the browser says it."""
        try:
            page = URL(self.request.headers.get("Referer", ""))
        except ValueError:
            return None
        origin = self.services.frontier.origin
        ours = {self.request.headers.get("Host"), origin.authority if origin is not None else None}
        is_ours = page.authority in ours and page.raw_path.startswith("/") and not page.raw_path.startswith("//")
        return page.raw_path_qs if is_ours else None

    # What the request says

    def asked(self, name: str) -> str | None:
        """A query parameter; blank is as good as absent. Raises Failed for text that no book can hold."""
        text = self.request.query.get(name, "").strip()
        if text and not is_keepable(text, longest=MAX_VALUE):
            raise Failed(400, f"The address holds a value for {name} that cannot be looked for")
        return text or None

    def chosen(self, name: str, among: type[StrEnum]) -> str | None:
        """A query parameter that must be one of a closed set. Raises Failed."""
        text = self.asked(name)
        if text is not None and text not in set(among):
            raise Failed(400, f"There is no {name} {text[:40]}", f"Choose one of {', '.join(among)}.")
        return text

    def number(self, name: str) -> int:
        """A number of the path. Raises Failed."""
        text = self.request.match_info[name]
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise not_found(f"{text[:40]} is no number")
        return int(text)

    def before(self, *makers: Maker) -> Place:
        """Where the list goes on, as `older` wrote it; each maker makes a part of it from text. Raises Failed."""
        text = self.asked("before")
        if text is None:
            return None
        try:
            place = cursors.read(text, self.path, makers)
        except InvalidCursor:
            raise Failed(400, "The list cannot be continued there", "Begin it anew from its first page.") from None
        return place if len(makers) > 1 else place[0]

    async def form(self) -> dict[str, str]:
        """The fields of the form that was sent, trimmed."""
        fields = await self.request.post()
        return {name: value.strip() for name, value in fields.items() if isinstance(value, str)}

    # Answers

    def page(self, template: str, *, status: int = 200, **told: object) -> web.Response:
        """A page by its template; what was told by the act before is shown once."""
        message = self._message()
        text = self.services.environment.get_template(template).render(
            {"back": FRESH, **told}, visit=self, visitor=self.visitor, message=message, path=self.path, Role=Role
        )
        response = web.Response(text=text, status=status, content_type="text/html", charset="utf-8")
        self._keep_secret(response)
        if message is not None:
            response.del_cookie(self.cookie("told"), path="/", **self._cookie_terms())
        return response

    def to(self, path: str, *, told: str | None = None, tone: Tone = Tone.DONE, **query: object) -> web.Response:
        """After an act: on to a page that can be reloaded, which shows what was done."""
        response = web.Response(status=303, headers={"Location": link(path, **query)})
        if told is not None:
            response.set_cookie(
                self.cookie("told"), self._sealed(tone, told), max_age=TOLD_SECONDS, path="/", **self._cookie_terms()
            )
        return response

    def older(self, place: Place) -> str | None:
        """The address of the next page of this list."""
        if place is None:
            return None
        key = place if isinstance(place, tuple) else (place,)
        return link(self.path, **{**self.request.query, "before": cursors.write(self.path, key)})

    def newest(self) -> str:
        """The address of the first page of this list."""
        return link(self.path, **{**self.request.query, "before": None})

    # Cookies

    def cookie(self, name: str) -> str:
        """`__Host-`: no other host of the same domain can set it, where browsers only take it over https."""
        return f"__Host-kessai-{name}" if self._is_https else f"kessai-{name}"

    @property
    def token(self) -> str | None:
        return self.request.cookies.get(self.cookie("session"))

    def begin_session(self, response: web.Response, token: str, *, seconds: float) -> None:
        response.set_cookie(
            self.cookie("session"), token, max_age=math.floor(seconds), path="/", **self._cookie_terms()
        )

    def device_of(self, name: str, known: Credentials | None) -> str | None:
        """Which browser this is, when it has logged in under the name before."""
        cookie = self.request.cookies.get(self.cookie("device"))
        if cookie is None or known is None:
            return None
        return devices.known_device(cookie, name, known.password_hash)

    def keep_device(self, response: web.Response, name: str, password_hash: str) -> None:
        response.set_cookie(
            self.cookie("device"),
            devices.issue(name, password_hash),
            max_age=devices.KEPT_SECONDS,
            path="/",
            **self._cookie_terms(),
        )

    def end_session(self, response: web.Response) -> None:
        for name in ("session", "visit"):
            response.del_cookie(self.cookie(name), path="/", **self._cookie_terms())

    @property
    def secret(self) -> str:
        """What this visit's forms are bound to: the session, else a cookie that any visitor gets."""
        if self.visitor is not None and self.visitor.session is not None:
            return self.visitor.session
        kept = self.request.cookies.get(self.cookie("visit"))
        if kept:
            return kept
        if self._fresh_secret is None:
            self._fresh_secret = secrets.token_urlsafe(32)
        return self._fresh_secret

    @property
    def form_token(self) -> str:
        return form_token(self.secret)

    @property
    def _is_https(self) -> bool:
        return self.services.frontier.is_https(self.request)

    def _cookie_terms(self) -> dict[str, Any]:
        # Lax, not Strict: a link in a pager's message must find the person logged in.
        return {"httponly": True, "samesite": "Lax", "secure": self._is_https}

    def _keep_secret(self, response: web.Response) -> None:
        if self._fresh_secret is not None:
            response.set_cookie(self.cookie("visit"), self._fresh_secret, path="/", **self._cookie_terms())

    # What one page tells the next

    def _sealed(self, tone: Tone, told: str) -> str:
        text = base64.urlsafe_b64encode(orjson.dumps([tone, told[:1000]])).decode()
        return f"{text}.{self._seal(text)}"

    def _message(self) -> tuple[str, str] | None:
        """Tone and text, when the cookie is one of ours."""
        text, _, seal = self.request.cookies.get(self.cookie("told"), "").partition(".")
        if not text or not hmac.compare_digest(seal.encode("utf-8", "replace"), self._seal(text).encode()):
            return None
        tone, told = orjson.loads(base64.urlsafe_b64decode(text))
        return tone, told

    def _seal(self, text: str) -> str:
        key = self.secret.encode("utf-8", "surrogateescape")
        return hmac.new(key, b"kessai told" + text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
