"""A provider's account at a Siglume on a real socket: lists, newest first, that a test fills, reads and bends."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.ledger.database import Pool, connected
from shared.sdrp.api.access import Access
from shared.sdrp.api.clients import ProviderClient
from shared.sdrp.api.transport import Transport
from tests import platform_answers
from tests.given import ENDPOINT, NOW
from tests.integration.platform_api.platform import QUICK, Handler
from workers.reconcile.result import Reconciled
from workers.reconcile.turn import reconcile

TOKEN = "tok_that_nobody_may_see"
PAGE = 3
"""Rows, whatever limit is asked for."""
Json = dict[str, Any]


@dataclass(slots=True)
class Account:
    base_url: str = ""
    usage: list[Json] = field(default_factory=list)
    batches: list[Json] = field(default_factory=list)
    totals: Json = field(default_factory=dict)
    """Of every token alike."""
    bent: dict[str, Handler] = field(default_factory=dict)
    """What answers instead, by what is asked for: `usage-events`, or with the cursor: `usage-events?3`."""
    asked: list[str] = field(default_factory=list)

    def access(self) -> Access:
        return Access.of(TOKEN, base_url=self.base_url)

    def bought(self, count: int, *, batch: str | None = "msb_1", at: datetime = NOW) -> None:
        """So many more payments, the last one then, a minute between them."""
        for number in reversed(range(count)):
            created = (at - timedelta(minutes=number)).isoformat()
            row = platform_answers.usage_event(len(self.usage) + 1, created_at=created, settlement_batch_id=batch)
            self.usage.insert(0, row)

    def closed(self, number: int, status: str = "ready", *, at: datetime = NOW, **changed: object) -> None:
        settled = status == "settled"
        ends: Json = {"chain_receipt_id": f"chain_{number}" if settled else None}
        ends |= {"settled_at": at.isoformat() if settled else None, "close_at": at.isoformat()}
        self.batches.insert(0, platform_answers.batch(number, status=status) | ends | changed)

    def requests(self, list_: str) -> list[str]:
        return [each for each in self.asked if each.partition("?")[0] == list_]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        cursor, what = request.query.get("cursor"), request.match_info["what"]
        name = what if cursor is None else f"{what}?{cursor}"
        self.asked.append(name)
        bent = self.bent.get(name) or self.bent.get(what)
        return await bent(request) if bent else web.json_response({"data": self._answer(what, int(cursor or 0))})

    def _answer(self, what: str, start: int) -> Json:
        match what.split("/"):
            case ["summary"]:
                return {"role": "provider", "open_periods": [], "periods": [], "totals": self.totals}
            case ["usage-events"]:
                return _page(self.usage, start)
            case ["settlement-batches"]:
                return _page(self.batches, start)
            case ["settlement-batches", batch_id]:
                return next(each for each in self.batches if each["settlement_batch_id"] == batch_id)
        raise AssertionError(what)


def _page(rows: Sequence[Json], start: int) -> Json:
    end = start + PAGE
    return platform_answers.page(list(rows[start:end]), str(end) if end < len(rows) else None)


@asynccontextmanager
async def account() -> AsyncIterator[Account]:
    there = Account()
    app = web.Application()
    app.router.add_get("/v1/sdrp/metered/provider/{what:.+}", there.handle)
    async with TestServer(app, host="127.0.0.1") as server:
        there.base_url = f"http://127.0.0.1:{server.port}/v1"
        yield there


async def run(
    pool: Pool,
    there: Account,
    *,
    at: datetime = NOW,
    since: datetime | None = None,
    whole: bool = False,
    result: Reconciled | None = None,
) -> Reconciled:
    """One run as a worker does it, at that time. Raises SiglumeApiError."""
    found = result or Reconciled(ENDPOINT)
    async with Transport(there.access(), patience=QUICK) as transport, connected(pool) as connection:
        client = ProviderClient(transport)
        await reconcile(connection, client, found, clock=lambda: at, since=since, whole=whole)
    return found
