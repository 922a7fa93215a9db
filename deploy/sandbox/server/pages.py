"""What does the buyer see? The page on which a checkout session is paid or cancelled; no script, no login."""

from collections.abc import Callable

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from yarl import URL

from deploy.sandbox.core.checkout import Session, SessionStatus
from deploy.sandbox.core.platform import Platform
from deploy.sandbox.core.refusal import Refused
from shared.sdrp.money import Currency


class Pages:
    """`buyer` is who pays on the page."""

    def __init__(self, platform: Platform, *, buyer: str, moved: Callable[[], None]) -> None:
        self._platform = platform
        self._buyer = buyer
        self._moved = moved
        environment = Environment(
            loader=PackageLoader("deploy.sandbox"), autoescape=True, undefined=StrictUndefined, auto_reload=False
        )
        self._template = environment.get_template("pay.html")

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/pay/{session_id}", self.show),
            web.post("/pay/{session_id}/sign-in", self.sign_in),
            web.post("/pay/{session_id}/confirm", self.confirm),
            web.post("/pay/{session_id}/cancel", self.cancel),
        ]

    async def show(self, request: web.Request) -> web.Response:
        try:
            return self._page(self._platform.checkout.find(request.match_info["session_id"]))
        except Refused as refused:
            raise web.HTTPNotFound(text=f"{refused}\n") from None

    async def sign_in(self, request: web.Request) -> web.Response:
        return self._act(request, self._platform.checkout.sign_in)

    async def confirm(self, request: web.Request) -> web.Response:
        return self._act(request, lambda session_id: self._platform.checkout.pay(session_id, self._buyer))

    async def cancel(self, request: web.Request) -> web.Response:
        return self._act(request, self._platform.checkout.cancel)

    def _act(self, request: web.Request, act: Callable[[str], Session]) -> web.Response:
        session_id = request.match_info["session_id"]
        try:
            session = act(session_id)
        except Refused as refused:
            if refused.status == 404:
                raise web.HTTPNotFound(text=f"{refused}\n") from None
            return self._page(self._platform.checkout.find(session_id), trouble=refused)
        self._moved()
        raise web.HTTPSeeOther(f"/pay/{session.id}" if session.is_payable else session.leads_to)

    def _page(self, session: Session, *, trouble: Refused | None = None) -> web.Response:
        order = session.order
        html = self._template.render(
            session=session,
            merchant=self._platform.merchants.find(order.merchant).display_name,
            amount=_amount(order.amount_minor, order.currency),
            metadata=sorted((str(name), str(value)) for name, value in order.metadata.items()),
            is_payable=session.is_payable,
            is_signed_in=session.status is SessionStatus.AUTHENTICATED,
            trouble=f"{trouble} ({trouble.code})" if trouble else None,
        )
        back = {str(URL(url).origin()) for url in (session.success_url, session.cancel_url)}
        policy = f"default-src 'none'; style-src 'unsafe-inline'; form-action 'self' {' '.join(sorted(back))}"
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        status = 200 if trouble is None else trouble.status
        return web.Response(text=html, content_type="text/html", status=status, headers=headers)


def _amount(amount_minor: int, currency: Currency) -> str:
    """For a person: `1,200 JPY`, `12.00 USD`."""
    if currency is Currency.JPY:
        return f"{amount_minor:,} JPY"
    return f"{amount_minor // 100:,}.{amount_minor % 100:02} USD"
