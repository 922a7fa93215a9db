"""How does a sandbox start and stop, and how does a program in the same process control it?"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from deploy.local.ports import LOOPBACK
from deploy.sandbox.core.books import Books
from deploy.sandbox.core.checkout import Session
from deploy.sandbox.core.faults import Fault, Faults, Setting
from deploy.sandbox.core.people import user_of
from deploy.sandbox.core.platform import Platform, Shop
from deploy.sandbox.server.clock import Clock
from deploy.sandbox.server.control import ControlApi
from deploy.sandbox.server.courier import Courier
from deploy.sandbox.server.pages import Pages
from deploy.sandbox.server.site import Api, in_json
from shared.observe.listening import BACKLOG, bind, port_of

BODY_AT_MOST: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Options:
    shop: Shop = field(default_factory=Shop)
    port: int = 0
    """0 picks a free one."""
    start: datetime | None = None
    """The first time of the clock; None for the real time."""
    runs: bool = False
    """Whether the clock runs by itself; otherwise it stops until it is advanced."""
    seed: int = 0
    """The seed of the faults' random numbers."""
    run: str | None = None
    """What keeps the ids of this sandbox apart from those of others; None draws it."""
    names_payments: bool = True
    """Whether statements say of which payment a row of usage is, as newer platforms may; documented rows do not."""
    deliveries_at_once: int = 8
    """With 1, webhooks go out in exact order."""
    buyer_token: str = "sandbox_buyer_token"  # noqa: S105 - it is in the documentation
    """The token of the buyer who pays on the page."""


class Sandbox:
    """Serves while the context lasts. Raises CannotListen on entry."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.platform = Platform(
            self.options.shop,
            start=self.options.start,
            seed=self.options.seed,
            run=self.options.run,
            names_payments=self.options.names_payments,
        )
        self._courier = Courier(self.platform, at_once=self.options.deliveries_at_once)
        self._clock = Clock(self.platform, self._courier, runs=self.options.runs)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            bound = bind(LOOPBACK, self.options.port)
            stack.callback(bound.close)
            self.root_url = f"http://{LOOPBACK}:{port_of(bound)}"
            await stack.enter_async_context(self._courier)
            runner = await stack.enter_async_context(_running(self._app()))
            await web.SockSite(runner, bound, backlog=BACKLOG).start()
            await stack.enter_async_context(self._clock)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def base_url(self) -> str:
        """What `SIGLUME_API_BASE` is set to."""
        return f"{self.root_url}/v1"

    @property
    def now(self) -> datetime:
        return self.platform.now

    @property
    def faults(self) -> Faults:
        return self.platform.faults

    def switch(
        self, fault: Fault, share: float = 1.0, *, times: int | None = None, seconds: float | None = None
    ) -> None:
        """Raises UnknownFault."""
        self.faults.switch(fault, Setting(share, times, seconds))

    async def advance(self, by: timedelta, *, wait: bool = True) -> None:
        """`wait` until every webhook that falls into that time has been answered."""
        await self._clock.advance(by, wait=wait)

    async def idle(self) -> None:
        """Wait until every webhook that is due has been answered."""
        await self._courier.idle()

    async def pay(self, session_id: str, *, buyer: str | None = None, wait: bool = True) -> Session:
        """As the holder of that token, or as the one who pays on the page. Raises Refused."""
        session = self.platform.checkout.pay(session_id, user_of(buyer or self.options.buyer_token))
        self._courier.kick()
        if wait:
            await self._courier.idle()
        return session

    def sign_in(self, session_id: str) -> Session:
        """Raises Refused."""
        return self.platform.checkout.sign_in(session_id)

    def cancel(self, session_id: str) -> Session:
        """Raises Refused."""
        return self.platform.checkout.cancel(session_id)

    def books(self) -> Books:
        """The platform's own truth, now."""
        return self.platform.books()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[in_json], client_max_size=BODY_AT_MOST)
        api = Api(self.platform, root_url=self.root_url, moved=self._courier.kick)
        pages = Pages(self.platform, buyer=user_of(self.options.buyer_token), moved=self._courier.kick)
        control = ControlApi(
            self.platform,
            self._clock,
            self._courier,
            root_url=self.root_url,
            buyer_token=self.options.buyer_token,
        )
        app.add_routes([*control.routes(), *api.routes(), *pages.routes()])
        return app


@asynccontextmanager
async def _running(app: web.Application) -> AsyncIterator[web.AppRunner]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()
