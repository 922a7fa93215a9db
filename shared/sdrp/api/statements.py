"""The statements of micro and nano payments, for their buyer and for their provider.

Each list has three methods: `list_...` fetches one page, `..._pages` walks them so that a caller may keep the cursor
of each, and the plain name gives row after row.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import MappingProxyType
from typing import TypedDict, TypeVar, Unpack

from shared.sdrp.api import values
from shared.sdrp.api.batches import SettlementBatch
from shared.sdrp.api.calls import Calls
from shared.sdrp.api.errors import UnusableAnswer
from shared.sdrp.api.pages import Page, read_page, rows, walk
from shared.sdrp.api.records import Record
from shared.sdrp.api.requests import get
from shared.sdrp.api.summaries import BuyerSummary, ProviderSummary
from shared.sdrp.api.usage import ProviderUsageEvent, UsageEvent
from shared.sdrp.api.usage_csv import UsageCsv

MAX_USAGE_PAGE = 500
MAX_BATCH_PAGE = 200

T = TypeVar("T")


class Plan(TypedDict, total=False):
    """Which payments are listed: all when nothing is given."""

    plan_type: str | None
    """`micro` or `nano`."""
    token_symbol: str | None
    """`JPYC` or `USDC`."""


class Listing(TypedDict, total=False):
    """One of the provider's offers."""

    listing_id: str | None
    capability_key: str | None


class ProviderPlan(Plan, Listing):
    """Both."""


class BuyerFilter(Plan, total=False):
    status: str | None


class ProviderFilter(ProviderPlan, total=False):
    status: str | None


_LISTING: Mapping[str, values.Check] = MappingProxyType({"listing_id": values.text, "capability_key": values.text})
_PLAN: Mapping[str, values.Check] = MappingProxyType(
    {"plan_type": values.metered_plan, "token_symbol": values.token_symbol}
)


def _filters(checks: Mapping[str, values.Check], most: int) -> Mapping[str, values.Check]:
    """A page's query, in the order of the official SDK."""
    return {**_PLAN, "status": values.text, **checks, "limit": values.limit(most), "cursor": values.text}


_BUYER_USAGE, _BUYER_BATCHES = _filters({}, MAX_USAGE_PAGE), _filters({}, MAX_BATCH_PAGE)
_PROVIDER_USAGE, _PROVIDER_BATCHES = _filters(_LISTING, MAX_USAGE_PAGE), _filters(_LISTING, MAX_BATCH_PAGE)


class BuyerStatements(Calls):
    """What a buyer used and owes; needs the buyer's token."""

    async def get_buyer_metered_summary(self, **plan: Unpack[Plan]) -> BuyerSummary:
        call = "get_buyer_metered_summary"
        request = get(call, "/sdrp/metered/my-summary", values.checked(plan, _PLAN))
        return BuyerSummary.read(Record(await self._sender.call(request), call))

    async def list_buyer_usage_events(
        self, *, cursor: str | None = None, limit: int | None = None, **filters: Unpack[BuyerFilter]
    ) -> Page[UsageEvent]:
        query = values.checked({**filters, "cursor": cursor, "limit": limit}, _BUYER_USAGE)
        call = get("list_buyer_usage_events", "/sdrp/metered/my-usage-events", query)
        return read_page(await self._sender.call(call), call.call, UsageEvent.read)

    def buyer_usage_event_pages(
        self, *, cursor: str | None = None, limit: int = MAX_USAGE_PAGE, **filters: Unpack[BuyerFilter]
    ) -> AsyncIterator[Page[UsageEvent]]:
        return _walk(partial(self.list_buyer_usage_events, limit=limit, **filters), cursor, _usage_id)

    def buyer_usage_events(
        self, *, cursor: str | None = None, limit: int = MAX_USAGE_PAGE, **filters: Unpack[BuyerFilter]
    ) -> AsyncIterator[UsageEvent]:
        return rows(self.buyer_usage_event_pages(cursor=cursor, limit=limit, **filters))

    async def list_buyer_settlement_batches(
        self, *, cursor: str | None = None, limit: int | None = None, **filters: Unpack[BuyerFilter]
    ) -> Page[SettlementBatch]:
        query = values.checked({**filters, "cursor": cursor, "limit": limit}, _BUYER_BATCHES)
        call = get("list_buyer_settlement_batches", "/sdrp/metered/my-settlement-batches", query)
        return read_page(await self._sender.call(call), call.call, SettlementBatch.read)

    def buyer_settlement_batch_pages(
        self, *, cursor: str | None = None, limit: int = MAX_BATCH_PAGE, **filters: Unpack[BuyerFilter]
    ) -> AsyncIterator[Page[SettlementBatch]]:
        return _walk(partial(self.list_buyer_settlement_batches, limit=limit, **filters), cursor, _batch_id)

    def buyer_settlement_batches(
        self, *, cursor: str | None = None, limit: int = MAX_BATCH_PAGE, **filters: Unpack[BuyerFilter]
    ) -> AsyncIterator[SettlementBatch]:
        return rows(self.buyer_settlement_batch_pages(cursor=cursor, limit=limit, **filters))


class ProviderStatements(Calls):
    """What a provider's buyers used and what of it is settled; needs the provider's token."""

    async def get_provider_metered_summary(self, **plan: Unpack[ProviderPlan]) -> ProviderSummary:
        call = "get_provider_metered_summary"
        request = get(call, "/sdrp/metered/provider/summary", values.checked(plan, {**_PLAN, **_LISTING}))
        return ProviderSummary.read(Record(await self._sender.call(request), call))

    async def list_provider_usage_events(
        self, *, cursor: str | None = None, limit: int | None = None, **filters: Unpack[ProviderFilter]
    ) -> Page[ProviderUsageEvent]:
        query = values.checked({**filters, "cursor": cursor, "limit": limit}, _PROVIDER_USAGE)
        call = get("list_provider_usage_events", "/sdrp/metered/provider/usage-events", query)
        return read_page(await self._sender.call(call), call.call, ProviderUsageEvent.read)

    def provider_usage_event_pages(
        self, *, cursor: str | None = None, limit: int = MAX_USAGE_PAGE, **filters: Unpack[ProviderFilter]
    ) -> AsyncIterator[Page[ProviderUsageEvent]]:
        return _walk(partial(self.list_provider_usage_events, limit=limit, **filters), cursor, _usage_id)

    def provider_usage_events(
        self, *, cursor: str | None = None, limit: int = MAX_USAGE_PAGE, **filters: Unpack[ProviderFilter]
    ) -> AsyncIterator[ProviderUsageEvent]:
        return rows(self.provider_usage_event_pages(cursor=cursor, limit=limit, **filters))

    async def list_provider_settlement_batches(
        self, *, cursor: str | None = None, limit: int | None = None, **filters: Unpack[ProviderFilter]
    ) -> Page[SettlementBatch]:
        query = values.checked({**filters, "cursor": cursor, "limit": limit}, _PROVIDER_BATCHES)
        call = get("list_provider_settlement_batches", "/sdrp/metered/provider/settlement-batches", query)
        return read_page(await self._sender.call(call), call.call, SettlementBatch.read)

    def provider_settlement_batch_pages(
        self, *, cursor: str | None = None, limit: int = MAX_BATCH_PAGE, **filters: Unpack[ProviderFilter]
    ) -> AsyncIterator[Page[SettlementBatch]]:
        return _walk(partial(self.list_provider_settlement_batches, limit=limit, **filters), cursor, _batch_id)

    def provider_settlement_batches(
        self, *, cursor: str | None = None, limit: int = MAX_BATCH_PAGE, **filters: Unpack[ProviderFilter]
    ) -> AsyncIterator[SettlementBatch]:
        return rows(self.provider_settlement_batch_pages(cursor=cursor, limit=limit, **filters))

    async def get_provider_settlement_batch(
        self, settlement_batch_id: str, **listing: Unpack[Listing]
    ) -> SettlementBatch:
        call = "get_provider_settlement_batch"
        request = get(call, _batch_path(settlement_batch_id), values.checked(listing, _LISTING))
        batch = SettlementBatch.read(Record(await self._sender.call(request), call))
        if batch.settlement_batch_id != settlement_batch_id.strip():
            raise UnusableAnswer(f"Siglume answered {call} with another batch: report it to Siglume")
        return batch

    def provider_usage_csv_bytes(self, settlement_batch_id: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The export of one batch as a stream, for a file; `UsageCsv` finds out whether it is complete."""
        request = get(
            "provider_usage_events_csv", f"{_batch_path(settlement_batch_id)}/usage-events.csv", accept="text/csv"
        )
        return self._sender.stream(request)

    async def provider_usage_events_csv(self, settlement_batch_id: str) -> AsyncGenerator[ProviderUsageEvent, None]:
        """Every row of one batch, in constant memory; wrap it in `contextlib.aclosing` if you may stop early.

        Rows given before a TruncatedCsv are right; the export begins anew with the next call.
        """
        export = UsageCsv(settlement_batch_id.strip())
        async with self.provider_usage_csv_bytes(settlement_batch_id) as chunks:
            async for chunk in chunks:
                for event in export.feed(chunk):
                    yield event
        export.finish()


def _walk(
    fetch: Callable[..., Awaitable[Page[T]]], cursor: str | None, identify: Callable[[T], str]
) -> AsyncIterator[Page[T]]:
    return walk(lambda at: fetch(cursor=at), cursor=cursor, identify=identify)


def _usage_id(event: UsageEvent) -> str:
    return event.metered_usage_id


def _batch_id(batch: SettlementBatch) -> str:
    return batch.settlement_batch_id


def _batch_path(settlement_batch_id: str) -> str:
    return (
        f"/sdrp/metered/provider/settlement-batches/{values.path_segment(settlement_batch_id, 'settlement_batch_id')}"
    )
