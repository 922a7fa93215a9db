"""One request for a page: its parameters and user, the books, and how to answer."""

import base64
import hashlib
import hmac
import math
import secrets
from collections.abc import AsyncIterator, Collection
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
from ingress.console.access.authentication import CurrentUser
from ingress.console.access.origins import form_token
from ingress.console.cursors import InvalidCursor, Maker
from ingress.console.formats import link
from ingress.console.forms import FRESH
from ingress.console.services import Services
from shared.ledger.database import Connection, connected
from shared.ledger.roles import Role
from shared.ledger.slices import Place
from shared.ledger.text import is_keepable
from shared.ledger.users import Credentials

PAGE_ROWS: Final = 50
MAX_VALUE: Final = 1000
"""Characters of a query parameter."""
MESSAGE_SECONDS: Final = 60
"""How long the message of an act waits for the page that shows it."""


class Tone(StrEnum):
    DONE = "done"
    REFUSED = "refused"


class Failed(Exception):
    """A request that cannot be answered as asked: its status, a headline, and what to do next."""

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
        """Methods that the address does take."""


def not_found(headline: str) -> Failed:
    return Failed(404, headline, "Check that the id is complete. The search above takes ids of every kind.")


@dataclass(slots=True)
class Visit:
    """One request and what is needed to answer it."""

    request: web.Request
    services: Services
    templates: Environment
    current_user: CurrentUser | None = None
    is_proxied_login: bool = False
    """Whether a trusted proxy named the user: then there is no session of ours to end."""
    path: str = ""
    """The path of the page that is shown; an act may be answered by the page that it was sent from."""
    _fresh_secret: str | None = field(default=None)

    def __post_init__(self) -> None:
        self.path = self.path or self.request.path

    @asynccontextmanager
    async def books(self) -> AsyncIterator[Connection]:
        """Raises DatabaseUnavailable, TransientConflict or UnacceptableRow; each has a page of its own."""
        async with connected(self.services.pool) as connection:
            yield connection

    @property
    def person(self) -> CurrentUser:
        """The user, on pages that need a login. Raises Failed."""
        if self.current_user is None:
            raise Failed(401, "Log in first")
        return self.current_user

    def may(self, needed: Role) -> bool:
        return self.current_user is not None and self.current_user.role.covers(needed)

    @property
    def came_from(self) -> str | None:
        """The page of the console that an act was sent from, when the browser names it."""
        try:
            page = URL(self.request.headers.get("Referer", ""))
        except ValueError:
            return None
        origin = self.services.origins.origin
        ours = {self.request.headers.get("Host"), origin.authority if origin is not None else None}
        is_ours = page.authority in ours and page.raw_path.startswith("/") and not page.raw_path.startswith("//")
        return page.raw_path_qs if is_ours else None

    # The request

    def query(self, name: str) -> str | None:
        """A query parameter; blank is as good as absent. Raises Failed for text that the books cannot hold."""
        text = self.request.query.get(name, "").strip()
        if text and not is_keepable(text, longest=MAX_VALUE):
            raise Failed(400, f"The address holds a value for {name} that cannot be searched")
        return text or None

    def chosen(self, name: str, among: type[StrEnum]) -> str | None:
        """A query parameter that must be one of a closed set. Raises Failed."""
        text = self.query(name)
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
        text = self.query("before")
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

    def page(self, template: str, *, status: int = 200, **values: object) -> web.Response:
        """A page made by its template. It shows the message of the act before it, once."""
        message = self._message()
        text = self.templates.get_template(template).render(
            {"back": FRESH, **values},
            visit=self,
            current_user=self.current_user,
            message=message,
            path=self.path,
            Role=Role,
        )
        response = web.Response(text=text, status=status, content_type="text/html", charset="utf-8")
        self._keep_secret(response)
        if message is not None:
            response.del_cookie(self.cookie("message"), path="/", **self._cookie_terms())
        return response

    def to(self, path: str, *, message: str | None = None, tone: Tone = Tone.DONE, **query: object) -> web.Response:
        """Redirect after an act to a page that can be reloaded and shows the message."""
        response = web.Response(status=303, headers={"Location": link(path, **query)})
        if message is not None:
            response.set_cookie(
                self.cookie("message"),
                self._sealed(tone, message),
                max_age=MESSAGE_SECONDS,
                path="/",
                **self._cookie_terms(),
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
        """The id of this browser, when somebody has logged in with it under this name before."""
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
        """What the forms of this page are bound to: the session, else a cookie that every browser gets."""
        if self.current_user is not None and self.current_user.session is not None:
            return self.current_user.session
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
        return self.services.origins.is_https(self.request)

    def _cookie_terms(self) -> dict[str, Any]:
        # Lax, not Strict: a link in a pager's message must open with the person logged in.
        return {"httponly": True, "samesite": "Lax", "secure": self._is_https}

    def _keep_secret(self, response: web.Response) -> None:
        if self._fresh_secret is not None:
            response.set_cookie(self.cookie("visit"), self._fresh_secret, path="/", **self._cookie_terms())

    # The message for the next page

    def _sealed(self, tone: Tone, message: str) -> str:
        text = base64.urlsafe_b64encode(orjson.dumps([tone, message[:1000]])).decode()
        return f"{text}.{self._seal(text)}"

    def _message(self) -> tuple[str, str] | None:
        """Its tone and text, when we sealed the cookie."""
        text, _, seal = self.request.cookies.get(self.cookie("message"), "").partition(".")
        if not text or not hmac.compare_digest(seal.encode("utf-8", "replace"), self._seal(text).encode()):
            return None
        tone, message = orjson.loads(base64.urlsafe_b64decode(text))
        return tone, message

    def _seal(self, text: str) -> str:
        key = self.secret.encode("utf-8", "surrogateescape")
        return hmac.new(key, b"kessai message" + text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
