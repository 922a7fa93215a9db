"""Which rows does a statement show? Filters, limits and cursors, alike for usage and batches, buyers and providers."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Final, Protocol, Self, TypeVar

from deploy.sandbox.core.batches import BLOCKING, AccountKey, Batch
from deploy.sandbox.core.pricing import TOKENS
from deploy.sandbox.core.refusal import invalid, not_found
from deploy.sandbox.core.settlement import Settlement
from deploy.sandbox.core.statements import (
    Row,
    batch_row,
    buyer_batch_row,
    buyer_usage_row,
    open_period,
    past_due_block,
    receivables,
    usage_row,
    without_payment,
)
from deploy.sandbox.core.usage import Account, Usage
from shared.sdrp.money import Band

USAGE_AT_MOST: Final = 500
BATCHES_AT_MOST: Final = 200
USUAL_LIMIT: Final = 50
_CURSOR = re.compile(rb"([a-z]+):([0-9]{1,15})")

Query = Mapping[str, str]


class Numbered(Protocol):
    """A usage or a batch; statements page by its number."""

    @property
    def number(self) -> int: ...
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Numbered)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a statement is about; None for everything."""

    plan_type: str | None = None
    token_symbol: str | None = None
    status: str | None = None
    listing_id: str | None = None
    capability_key: str | None = None

    @classmethod
    def from_query(cls, query: Query) -> Self:
        """Raises Refused."""
        plan, token = query.get("plan_type"), query.get("token_symbol")
        if plan is not None and plan not in (Band.MICRO, Band.NANO):
            raise invalid("plan_type must be micro or nano")
        if token is not None and token not in TOKENS.values():
            raise invalid("token_symbol must be JPYC or USDC")
        return cls(plan, token, query.get("status"), query.get("listing_id"), query.get("capability_key"))

    def has_account(self, key: AccountKey) -> bool:
        return self.plan_type in (None, key.band) and self.token_symbol in (None, TOKENS[key.currency])

    def has_batch(self, batch: Batch) -> bool:
        return self.has_account(batch.account) and self.status in (None, batch.status)

    def has_usage(self, usage: Usage) -> bool:
        return self.has_account(usage.account) and self.status in (None, usage.status) and self.is_bought(usage)

    @property
    def is_about_purchases(self) -> bool:
        """Whether only some of a batch's usage may be meant."""
        return self.listing_id is not None or self.capability_key is not None

    def is_bought(self, usage: Usage) -> bool:
        purchase = usage.purchase
        return self.listing_id in (None, purchase.listing_id) and self.capability_key in (
            None,
            purchase.capability_key,
        )


class Statements:
    """What one user may see of it: as the buyer of something, or as the provider of it."""

    def __init__(self, settlement: Settlement, *, names_payments: bool) -> None:
        """`names_payments`: whether a row of usage says of which payment it is."""
        self._names_payments = names_payments
        self._settlement = settlement
        self._accounts = settlement.accounts

    def buyer_summary(self, buyer: str, query: Query) -> Row:
        wanted = Filter.from_query(query)
        batches = [batch for batch in self._batches(wanted) if batch.account.buyer == buyer]
        blocking = [batch for batch in batches if batch.status in BLOCKING]
        return {
            "role": "buyer",
            "open_periods": self._open_periods(wanted, lambda account: account.key.buyer == buyer),
            "settlement_batches": [buyer_batch_row(batch, self._accounts) for batch in batches],
            "past_due_blocks": [past_due_block(batch, self._accounts) for batch in blocking],
            "balance_sufficiency": {
                "sufficient": not blocking,
                "wallet_balance_checked": False,
                "allowance_checked": False,
            },
        }

    def provider_summary(self, provider: str, query: Query) -> Row:
        wanted = Filter.from_query(query)
        batches = [batch for batch in self._batches(wanted) if batch.provider == provider]
        periods = self._open_periods(wanted, lambda account: account.provider == provider)
        still_open = sum((Decimal(period["provider_receivable_minor"]) for period in periods), Decimal(0))
        return {
            "role": "provider",
            "timezone": "UTC",
            "filters": {name: value for name, value in query.items() if value},
            "open_periods": periods,
            "periods": [batch_row(batch, self._accounts) for batch in batches],
            "totals": receivables(batches, still_open=still_open),
        }

    def buyer_usage(self, buyer: str, query: Query) -> Row:
        rows = self._accounts.of_buyer(buyer, before=_before(query, "usage"))
        return self._usage_page(rows, buyer_usage_row, query)

    def provider_usage(self, provider: str, query: Query) -> Row:
        rows = self._accounts.of_provider(provider, before=_before(query, "usage"))
        return self._usage_page(rows, usage_row, query)

    def buyer_batches(self, buyer: str, query: Query) -> Row:
        batches = (batch for batch in self._page_of_batches(query) if batch.account.buyer == buyer)
        return _page(batches, lambda batch: buyer_batch_row(batch, self._accounts), _limit(query, BATCHES_AT_MOST))

    def provider_batches(self, provider: str, query: Query) -> Row:
        batches = (batch for batch in self._page_of_batches(query) if batch.provider == provider)
        return _page(batches, lambda batch: batch_row(batch, self._accounts), _limit(query, BATCHES_AT_MOST))

    def provider_batch(self, provider: str, batch_id: str, query: Query) -> Batch:
        """Raises Refused when there is none, it is another provider's, or none of its usage matches the query."""
        batch = self._settlement.find(batch_id)
        wanted = Filter(listing_id=query.get("listing_id"), capability_key=query.get("capability_key"))
        if batch.provider != provider or not self._has_bought(wanted, batch):
            raise not_found("settlement batch", batch_id)
        return batch

    def show(self, batch: Batch) -> Row:
        """To its provider."""
        return batch_row(batch, self._accounts)

    def rows_of(self, batch: Batch) -> list[Usage]:
        return self._accounts.rows(batch.rows)

    def _usage_page(self, rows: Iterable[Usage], show: Callable[[Usage], Row], query: Query) -> Row:
        wanted = filter(Filter.from_query(query).has_usage, rows)
        shown = show if self._names_payments else lambda usage: without_payment(show(usage))
        return _page(wanted, shown, _limit(query, USAGE_AT_MOST))

    def _page_of_batches(self, query: Query) -> Iterator[Batch]:
        before = _before(query, "batch")
        return self._batches(Filter.from_query(query), before=before)

    def _batches(self, wanted: Filter, *, before: int | None = None) -> Iterator[Batch]:
        """The newest first."""
        for batch in reversed(self._settlement.every()[:before]):
            if wanted.has_batch(batch) and self._has_bought(wanted, batch):
                yield batch

    def _has_bought(self, wanted: Filter, batch: Batch) -> bool:
        """Whether some of its usage is of the listing and the capability."""
        return not wanted.is_about_purchases or any(map(wanted.is_bought, self.rows_of(batch)))

    def _open_periods(self, wanted: Filter, is_theirs: Callable[[Account], bool]) -> list[Row]:
        found = []
        for account in self._accounts.accounts():
            if is_theirs(account) and wanted.has_account(account.key):
                rows = list(filter(wanted.is_bought, self._accounts.rows(account.rows)))
                if rows:
                    found.append(open_period(account, rows))
        return found


def _page(items: Iterator[T], show: Callable[[T], Row], limit: int) -> Row:
    """`next_cursor` is null on the last page."""
    found = list(islice(items, limit + 1))
    more = len(found) > limit
    return {
        "items": [show(thing) for thing in found[:limit]],
        "next_cursor": _cursor(found[limit - 1]) if more else None,
    }


def _cursor(last: Numbered) -> str:
    kind = "usage" if isinstance(last, Usage) else "batch"
    return base64.urlsafe_b64encode(f"{kind}:{last.number}".encode()).decode()


def _before(query: Query, kind: str) -> int | None:
    """The number of the last row that was shown. Raises Refused."""
    if "cursor" not in query:
        return None
    try:
        found = _CURSOR.fullmatch(base64.urlsafe_b64decode(query["cursor"].encode()))
    except (ValueError, binascii.Error):
        found = None
    if found is None or found[1].decode() != kind:
        raise invalid("cursor is none of this list: pass on next_cursor unchanged", code="INVALID_CURSOR")
    return int(found[2])


def _limit(query: Query, most: int) -> int:
    """Raises Refused."""
    text = query.get("limit", str(USUAL_LIMIT))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= most:
        raise invalid(f"limit must be from 1 to {most}")
    return int(text)
