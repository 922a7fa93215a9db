"""How is a running sandbox controlled? `/sandbox`: the clock, the faults, the deliveries, the batches, and its books.

Only for this machine: a page of another origin, or a name that leads here, is refused.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import islice
from typing import Any

from aiohttp import web
from yarl import URL

from deploy.sandbox.core import fields
from deploy.sandbox.core.batches import BatchStatus
from deploy.sandbox.core.books import as_json
from deploy.sandbox.core.faults import MEANINGS, Setting, UnknownFault, fault_named
from deploy.sandbox.core.people import user_of
from deploy.sandbox.core.platform import Platform
from deploy.sandbox.core.refusal import Refused, invalid
from deploy.sandbox.core.statements import batch_row
from deploy.sandbox.core.webhooks import delivery_view, subscription_view
from deploy.sandbox.core.wire import iso
from deploy.sandbox.server.call import Answer, Call, read_call, refuse, respond
from deploy.sandbox.server.clock import Clock
from deploy.sandbox.server.courier import Courier

Control = Callable[[Call], Awaitable[Answer]]
SHOWN_AT_MOST = 1000


class ControlApi:
    def __init__(self, platform: Platform, clock: Clock, courier: Courier, *, root_url: str, buyer_token: str) -> None:
        self._platform = platform
        self._clock = clock
        self._courier = courier
        self._root_url = root_url
        self._buyer_token = buyer_token

    def routes(self) -> list[web.RouteDef]:
        table: list[tuple[str, str, Control]] = [
            ("GET", "/sandbox", self.show),
            ("POST", "/sandbox/advance", self.advance),
            ("GET", "/sandbox/faults", self.faults),
            ("POST", "/sandbox/faults", self.switch),
            ("GET", "/sandbox/deliveries", self.deliveries),
            ("POST", "/sandbox/deliveries/{name}/redeliver", self.redeliver),
            ("GET", "/sandbox/batches", self.batches),
            ("POST", "/sandbox/batches/{name}/{decision}", self.decide),
            ("POST", "/sandbox/sessions/{name}/pay", self.pay),
            ("POST", "/sandbox/sessions/{name}/sign-in", self.sign_in),
            ("POST", "/sandbox/sessions/{name}/cancel", self.cancel),
            ("POST", "/sandbox/webhooks/{name}/rotate-secret", self.rotate_secret),
            ("POST", "/sandbox/subscriptions/{name}/cancel", self.cancel_subscription),
            ("GET", "/sandbox/books", self.books),
            # What the official sandbox has, by its names.
            ("POST", "/v1/sandbox/checkout-sessions/{name}/confirm", self.confirm),
            ("POST", "/v1/sandbox/checkout-sessions/{name}/redeliver", self.redeliver_session),
        ]
        return [web.route(method, path, self._handler(control)) for method, path, control in table]

    async def show(self, call: Call) -> Answer:
        platform = self._platform
        return Answer(
            {
                "now": iso(platform.now),
                "next_at": iso(platform.next_at),
                "sessions": len(platform.checkout.every()),
                "payments": len(platform.payments.every()),
                "batches": len(platform.settlement.every()),
                "webhooks": [subscription_view(subscription) for subscription in platform.webhooks.every()],
                "faults": self._settings(),
            }
        )

    async def advance(self, call: Call) -> Answer:
        """By `seconds`; answered when every webhook of that time has been delivered or given up."""
        seconds = call.body.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e9:
            raise invalid("seconds must be a number from 0 on")
        await self._clock.advance(timedelta(seconds=seconds))
        return Answer({"now": iso(self._platform.now)})

    async def faults(self, call: Call) -> Answer:
        return Answer({"faults": self._settings()})

    async def switch(self, call: Call) -> Answer:
        """`clear`, then `seed`, then `faults`: a table of names to a share, times and seconds."""
        faults, body = self._platform.faults, call.body
        fields.require_known(body, ("clear", "seed", "faults"), "the request")
        try:
            switched = [
                (fault_named(name), _setting(name, given)) for name, given in fields.table(body, "faults").items()
            ]
            if fields.flag(body, "clear"):
                faults.clear()
            if body.get("seed") is not None:
                faults.seed(_whole(body["seed"]))
            for fault, setting in switched:
                faults.switch(fault, setting)
        except UnknownFault as error:
            raise invalid(str(error), code="UNKNOWN_FAULT") from None
        return Answer({"faults": self._settings()})

    async def deliveries(self, call: Call) -> Answer:
        status, limit = call.query.get("status"), call.query.get("limit", "50")
        if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit[:9]) <= SHOWN_AT_MOST:
            raise invalid(f"limit must be from 1 to {SHOWN_AT_MOST}")
        found = (each for each in self._platform.webhooks.log() if status in (None, each.status))
        return Answer({"deliveries": [delivery_view(delivery) for delivery in islice(found, int(limit))]})

    async def redeliver(self, call: Call) -> Answer:
        delivery = self._platform.webhooks.redeliver(call.path["name"])
        await self._courier.idle()
        return Answer(delivery_view(self._platform.webhooks.find(delivery.id)))

    async def batches(self, call: Call) -> Answer:
        settlement = self._platform.settlement
        return Answer({"batches": [batch_row(batch, settlement.accounts) for batch in reversed(settlement.every())]})

    async def decide(self, call: Call) -> Answer:
        """An operator's decision: `requeue`, `uncollectible` or `written_off`."""
        settlement, name, decision = self._platform.settlement, call.path["name"], call.path["decision"]
        if decision == "requeue":
            batch = settlement.requeue(name)
        elif decision in (BatchStatus.UNCOLLECTIBLE, BatchStatus.WRITTEN_OFF):
            batch = settlement.give_up(name, BatchStatus(decision))
        else:
            raise invalid("an operator can requeue a batch or mark it uncollectible or written_off")
        return Answer(batch_row(batch, settlement.accounts))

    async def pay(self, call: Call) -> Answer:
        """As `buyer`, a token, or as the one who pays on the page."""
        token = fields.optional_text(call.body, "buyer") or self._buyer_token
        session = self._platform.checkout.pay(call.path["name"], user_of(token))
        await self._courier.idle()
        return Answer(self._platform.checkout.view(session, root_url=self._root_url))

    async def sign_in(self, call: Call) -> Answer:
        session = self._platform.checkout.sign_in(call.path["name"])
        return Answer(self._platform.checkout.view(session, root_url=self._root_url))

    async def cancel(self, call: Call) -> Answer:
        session = self._platform.checkout.cancel(call.path["name"])
        return Answer(self._platform.checkout.view(session, root_url=self._root_url))

    async def rotate_secret(self, call: Call) -> Answer:
        webhooks, name = self._platform.webhooks, call.path["name"]
        return Answer(subscription_view(webhooks.rotate(webhooks.find_subscription(name)), with_secret=True))

    async def cancel_subscription(self, call: Call) -> Answer:
        return Answer(self._platform.recurring.cancel(call.path["name"]))

    async def books(self, call: Call) -> Answer:
        return Answer(as_json(self._platform.books()))

    async def confirm(self, call: Call) -> Answer:
        session = self._platform.checkout.pay(call.path["name"], user_of(self._buyer_token))
        await self._courier.idle()
        event = self._platform.find_event(self._confirmed_by(session.id))
        data = {"id": event.id, "type": event.type}
        return Answer({"status": session.status, "redirect_url": session.leads_to, "event": data})

    async def redeliver_session(self, call: Call) -> Answer:
        """502 when the last of the deliveries failed, as the official sandbox answers."""
        event = self._platform.find_event(self._confirmed_by(call.path["name"]))
        webhooks = self._platform.webhooks
        merchant = self._platform.merchants.find(event.merchant)
        ids = [webhooks.deliver(event, each, is_retried=False).id for each in webhooks.of(merchant.owner)]
        await self._courier.idle()
        views = [delivery_view(webhooks.find(each)) for each in ids]
        if not views:
            raise Refused(409, "NO_SUBSCRIPTION", "there is no webhook subscription to deliver to")
        last = views[-1]
        data: dict[str, Any] = {"redelivered": True, "event": {"id": event.id, "type": event.type}}
        data |= {name: last[name] for name in ("delivery_status", "response_status")}
        return Answer(data, 200 if last["delivery_status"] == "delivered" else 502)

    def _confirmed_by(self, session_id: str) -> str:
        checkout = self._platform.checkout
        payment = checkout.payment_of(checkout.find(session_id))
        if payment is None or payment.event_id is None:
            raise Refused(409, "CHECKOUT_SESSION_NOT_CONFIRMED", f"session {session_id} is not paid yet: confirm it")
        return payment.event_id

    def _settings(self) -> list[dict[str, object]]:
        on = self._platform.faults.settings
        return [
            {
                "fault": fault,
                "share": on[fault].share if fault in on else 0,
                "times": on[fault].times if fault in on else None,
                "seconds": self._platform.faults.seconds(fault),
                "meaning": meaning,
            }
            for fault, meaning in MEANINGS.items()
        ]

    def _handler(self, control: Control) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                _require_local(request)
                answered = await control(await read_call(request, self._platform, self._root_url))
            except Refused as refused:
                return refuse(refused)
            finally:
                self._courier.kick()
            return respond(answered)

        return answer


def _require_local(request: web.Request) -> None:
    try:
        hosts = {URL(f"http://{request.host}").host, *_origin_of(request)}
    except ValueError:
        hosts = {None}
    if not hosts <= set(fields.LOOPBACK):
        raise Refused(
            403, "LOOPBACK_ONLY", "the sandbox is controlled from this machine only, under a loopback address"
        )


def _origin_of(request: web.Request) -> tuple[str | None, ...]:
    origin = request.headers.get("Origin")
    return () if origin is None else (URL(origin).host,)


def _setting(name: str, given: object) -> Setting:
    """From a share alone, or from a table. Raises UnknownFault, and Refused for an unknown field of the table."""
    table: dict[str, object] = given if isinstance(given, dict) else {"share": given}
    fields.require_known(table, ("share", "times", "seconds"), f"fault {name}")
    share, times, seconds = (table.get(name) for name in ("share", "times", "seconds"))
    return Setting(
        share=1.0 if share is None else _number(share),
        times=None if times is None else _whole(times),
        seconds=None if seconds is None else _number(seconds),
    )


def _number(number: object) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise UnknownFault("a fault is switched by a share from 0 to 1, and seconds if need be")
    return float(number)


def _whole(number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise UnknownFault("times and seed are whole numbers")
    return number
