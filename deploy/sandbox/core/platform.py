"""The whole platform: its parts, put together, and the clock that moves them."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deploy.sandbox.core import fields
from deploy.sandbox.core.batches import Batch
from deploy.sandbox.core.books import Books, draw_up
from deploy.sandbox.core.checkout import Checkout
from deploy.sandbox.core.events import Event, batch_settled, event
from deploy.sandbox.core.faults import Faults
from deploy.sandbox.core.merchants import RESPONSIBILITY, Merchant, Merchants
from deploy.sandbox.core.payments import Payments
from deploy.sandbox.core.people import user_of
from deploy.sandbox.core.recurring import Recurring
from deploy.sandbox.core.refusal import not_found
from deploy.sandbox.core.settlement import Settlement
from deploy.sandbox.core.statement_pages import Statements
from deploy.sandbox.core.timers import Timers
from deploy.sandbox.core.webhooks import Webhooks
from deploy.sandbox.core.wire import Ids
from shared.sdrp.challenge import normalize_merchant
from shared.sdrp.events import CONFIRMED
from shared.sdrp.money import Currency


@dataclass(frozen=True, slots=True)
class Shop:
    """The merchant that is there from the beginning, ready to sell."""

    merchant: str = "sandbox_merchant"
    token: str = "sandbox_merchant_token"  # noqa: S105 - known to everybody who has read the documentation
    challenge_secret: str = "edrp_sandbox_local"  # noqa: S105 - so is this
    origin: str = "http://localhost:3000"
    webhook_url: str | None = None
    webhook_secret: str = "whsec_sandbox_local"  # noqa: S105 - and this


class Platform:
    """The clock stops until it is moved. `run` keeps the ids of two sandboxes apart; `seed` repeats their faults."""

    def __init__(
        self,
        shop: Shop,
        *,
        start: datetime | None = None,
        seed: int = 0,
        run: str | None = None,
        names_payments: bool = True,
    ) -> None:
        self.now = start or datetime.now(UTC)
        self.faults = Faults(seed)
        self._ids = Ids(run or secrets.token_hex(4))
        self._timers = Timers()
        self._events: dict[str, Event] = {}
        self.merchants = Merchants(self._ids, self.faults)
        self.webhooks = Webhooks(self._ids, self._timers, self.faults, self._now)
        self.settlement = Settlement(self._ids, self._timers, self.faults, self._now, settled=self._tell_settled)
        self.payments = Payments(
            self._ids,
            self._timers,
            self._now,
            merchants=self.merchants,
            accounts=self.settlement.accounts,
            announce=self.announce,
        )
        self.checkout = Checkout(
            self._ids, self._timers, self.faults, self._now, merchants=self.merchants, payments=self.payments
        )
        self.recurring = Recurring(
            self._ids,
            self._timers,
            self._now,
            merchants=self.merchants,
            payments=self.payments,
            announce=self.announce,
        )
        self.statements = Statements(self.settlement, names_payments=names_payments)
        self._open(shop)

    @property
    def next_at(self) -> datetime | None:
        """When something happens next, if the clock gets there."""
        return self._timers.next_at

    def step_to(self, moment: datetime) -> None:
        """Move the clock to the next thing that happens, if that is no later, and let it happen; else to the moment."""
        due = self._timers.next_at
        if due is None or due > moment:
            self.now = max(self.now, moment)
            return
        planned = self._timers.pop()
        self.now = max(self.now, planned.at)
        planned.act()

    def announce(self, event_type: str, merchant: str, data: dict[str, Any]) -> str:
        """Send an event to all who subscribed; its id."""
        announced = self.event(event_type, merchant, data)
        self.webhooks.send(announced, self.merchants.find(merchant).owner)
        return announced.id

    def event(self, event_type: str, merchant: str, data: dict[str, Any]) -> Event:
        """Made, kept, and not yet sent to anybody."""
        announced = event(self._ids.next("evt"), event_type, merchant, data, now=self.now)
        self._events[announced.id] = announced
        return announced

    def find_event(self, event_id: str) -> Event:
        """Raises Refused."""
        found = self._events.get(event_id)
        if found is None:
            raise not_found("event", event_id)
        return found

    def books(self) -> Books:
        return draw_up(self.now, self.payments.every(), self.settlement.accounts.every(), self.settlement.every())

    def _now(self) -> datetime:
        return self.now

    def _tell_settled(self, batch: Batch) -> None:
        self.announce(CONFIRMED, batch.account.merchant, batch_settled(batch))

    def _open(self, shop: Shop) -> None:
        owner = user_of(shop.token)
        origins = {fields.origin(shop.origin, "origin")}
        if shop.webhook_url is not None:
            origins.add(fields.origin(shop.webhook_url, "webhook_url"))
            self.webhooks.subscribe(owner, shop.webhook_url, secret=shop.webhook_secret)
        self.merchants.keep(
            Merchant(
                key=normalize_merchant(shop.merchant),
                owner=owner,
                display_name="Sandbox merchant",
                plan="launch",
                billing_currency=Currency.JPY,
                currencies=frozenset(Currency),
                origins=frozenset(origins),
                webhook_url=shop.webhook_url,
                challenge_secret=shop.challenge_secret,
                created_at=self.now,
                mandate_id=self._ids.next("mandate"),
                terms_accepted=True,
                responsibility_version=RESPONSIBILITY,
            )
        )
