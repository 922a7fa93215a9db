"""What strangers cost: few questions to the books, whatever they send, and nobody else any time."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field

import pytest
import structlog
from aiohttp.test_utils import make_mocked_request

from ingress.api.authentication import TokenAuthentication
from ingress.api.failures import Failures
from ingress.api.problems import Refused
from ingress.api.token_lookup import PAUSE
from shared.errors import DatabaseUnavailable
from shared.ledger import checkout_clients
from shared.ledger.bearer_tokens import fresh
from shared.ledger.checkout_clients import Client
from shared.ledger.database import Connection, Pool, connected, open_pool


@dataclass
class Entrance:
    """Token authentication over real books, with what they ask counted."""

    pool: Pool
    asked: list[int] = field(default_factory=list)
    """Tokens of each question about strangers'."""
    looked_up: list[str] = field(default_factory=list)
    hold: asyncio.Event | None = None
    """What the books wait for before they answer a question about strangers'."""

    def __post_init__(self) -> None:
        many = Failures(allowed=10**9, within=1.0, clock=lambda: 0.0)
        self.authentication = TokenAuthentication(
            self.pool, self._client_of, self._held, log=structlog.get_logger(), advice="", failures=many
        )

    async def _client_of(self, connection: Connection, token: str) -> Client | None:
        self.looked_up.append(token)
        return await checkout_clients.client_of(connection, token)

    async def _held(self, connection: Connection, digests: Collection[bytes]) -> set[bytes]:
        if self.hold is not None:
            await self.hold.wait()
        self.asked.append(len(digests))
        return await checkout_clients.held(connection, digests)

    async def is_let_in(self, token: str) -> bool:
        request = make_mocked_request("GET", "/orders/1", headers={"Authorization": f"Bearer {token}"})
        try:
            await self.authentication.holder(request, "10.0.0.1")
        except Refused:
            return False
        return True


@pytest.fixture
def entrance(pool: Pool) -> Entrance:
    return Entrance(pool)


async def test_however_many_strangers_come_they_are_a_few_questions(entrance: Entrance, token: str) -> None:
    began = time.monotonic()
    assert not any(await asyncio.gather(*(entrance.is_let_in(fresh()) for _ in range(1000))))
    for _ in range(20):
        assert not await entrance.is_let_in(fresh())
    assert entrance.looked_up == []
    assert len(entrance.asked) <= 2 + (time.monotonic() - began) / PAUSE
    assert sum(entrance.asked) == 1020


async def test_a_token_that_was_live_waits_for_no_stranger(entrance: Entrance, token: str) -> None:
    assert await entrance.is_let_in(token)
    entrance.hold = asyncio.Event()
    strangers = [asyncio.create_task(entrance.is_let_in(fresh())) for _ in range(50)]
    await asyncio.sleep(0)
    for _ in range(20):
        assert await entrance.is_let_in(token)
    assert not any(each.done() for each in strangers)
    entrance.hold.set()
    assert not any(await asyncio.gather(*strangers))


async def test_a_live_token_that_comes_with_the_strangers_is_let_in(entrance: Entrance, token: str) -> None:
    tokens = [fresh() for _ in range(500)]
    tokens.insert(250, token)
    let_in = await asyncio.gather(*(entrance.is_let_in(each) for each in tokens))
    assert [each for each, is_in in zip(tokens, let_in, strict=True) if is_in] == [token]
    assert entrance.looked_up == [token]


async def test_a_token_that_is_revoked_is_a_strangers_from_the_next_call_on(entrance: Entrance, token: str) -> None:
    assert await entrance.is_let_in(token)
    async with connected(entrance.pool) as connection:
        await checkout_clients.revoke(connection, "shop", actor="test")
    assert not await entrance.is_let_in(token)
    assert not await entrance.is_let_in(token)
    assert len(entrance.looked_up) == 2
    async with connected(entrance.pool) as connection:
        again = await checkout_clients.add(connection, "shop", "siglume", actor="test")
    assert await entrance.is_let_in(again)


async def test_strangers_who_hang_up_leave_the_question_to_others(entrance: Entrance, token: str) -> None:
    entrance.hold = asyncio.Event()
    gone = asyncio.create_task(entrance.is_let_in(fresh()))
    stays = asyncio.create_task(entrance.is_let_in(token))
    await asyncio.sleep(0.01)
    gone.cancel()
    entrance.hold.set()
    assert await stays


async def test_while_the_books_are_away_everyone_is_told(pool: Pool, token: str) -> None:
    url = "postgresql://someone:secret@127.0.0.1:9/x"
    away = await open_pool(url, application="t", size=1, statement_timeout=1.0)
    entrance = Entrance(away)
    told = await asyncio.gather(*(entrance.is_let_in(each) for each in (token, fresh())), return_exceptions=True)
    assert [type(each) for each in told] == [DatabaseUnavailable] * 2
    away.terminate()
