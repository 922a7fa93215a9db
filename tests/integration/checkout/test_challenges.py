"""A buyer's program pays a challenge that the books knew before it did."""

import asyncio
from collections.abc import Mapping
from typing import Any

from siglume_direct_request_payment import (
    create_direct_request_payment_challenge,
    direct_request_payment_challenge_hash,
)

from shared.ledger.books import Shop
from tests.integration.checkout.conftest import trust_over
from tests.integration.checkout.servers import CHALLENGE_SECRET, MERCHANT, CheckoutServers, System, terms
from tests.integration.checkout.test_starting import paid
from tests.integration.ledger.books import TestBooks


async def test_the_challenge_is_the_official_sdks_and_the_same_however_often_it_is_asked_for(
    system: System, books: TestBooks
) -> None:
    await system.put()
    told = await asyncio.gather(*(system.challenge() for _ in range(8)))
    assert {each.status for each in told} == {200}
    assert len({each.raw for each in told}) == 1
    made: Mapping[str, Any] = create_direct_request_payment_challenge(
        secret=CHALLENGE_SECRET, merchant=MERCHANT, amount_minor=1200, currency="JPY", nonce="order-1-attempt_1"
    )
    official = str(made["challenge"])
    assert told[0].json == {
        "order_id": "order-1",
        "attempt": 1,
        "nonce": "order-1-attempt_1",
        "challenge": official,
        "challenge_hash": direct_request_payment_challenge_hash(official),
        "merchant": MERCHANT,
        "amount_minor": 1200,
        "currency": "JPY",
    }
    rows = await books.rows("SELECT challenge_hash, order_id FROM kessai.challenges")
    assert [tuple(row) for row in rows] == [(told[0].json["challenge_hash"], "order-1")]
    assert [action for _, action, _ in await books.acts()][2:] == ["checkout.begun", "checkout.challenged"]


async def test_its_payment_pays_the_order(system: System, books: TestBooks) -> None:
    await system.put()
    books.shops = {"siglume": Shop(MERCHANT)}
    await books.apply(paid((await system.challenge()).json["challenge_hash"]))
    assert (await system.order()).json["state"] == "paid"
    assert (await system.challenge()).problem == "order-not-payable"


async def test_a_program_and_a_person_are_given_the_same_attempt(system: System, books: TestBooks) -> None:
    """One nonce, one challenge: Siglume lets it be paid once, whoever pays."""
    await system.put()
    challenge = (await system.challenge()).json
    assert (await system.order()).json["attempt"]["state"] == "open"
    session = (await system.start()).json
    assert (session["attempt"], system.road.nonces()) == (1, [challenge["nonce"]])
    assert await books.value("SELECT challenge_hash FROM kessai.checkout_attempts") == challenge["challenge_hash"]
    assert (await system.challenge()).json == challenge
    assert await books.value("SELECT count(*) FROM kessai.challenges") == 1


async def test_the_next_attempt_has_its_own(system: System, books: TestBooks, servers: CheckoutServers) -> None:
    await system.put()
    first = (await system.challenge()).json
    session_id = (await system.start()).json["session_id"]
    servers.sandbox.cancel(session_id)
    await trust_over(books)
    assert (await system.start()).json["attempt"] == 2
    second = (await system.challenge()).json
    assert (second["nonce"], second["challenge_hash"] != first["challenge_hash"]) == ("order-1-attempt_2", True)


async def test_without_a_challenge_secret_there_are_none(servers: CheckoutServers, token: str) -> None:
    system = await servers.open(token, terms=terms(challenge_secret=None))
    await system.put()
    told = await system.challenge()
    assert (told.status, told.json["code"]) == (409, "CHALLENGES_NOT_ENABLED")
    assert (await system.start()).status == 201


async def test_wrong_values_are_refused(system: System) -> None:
    assert (await system.challenge("none")).problem == "not-found"
    assert (await system.call("POST", "/challenges")).json["errors"] == [
        {"field": "order_id", "message": "Field required"}
    ]
    told = await system.call("POST", "/challenges", order_id="order-1", amount_minor=1)
    assert told.json["errors"] == [{"field": "amount_minor", "message": "there is no such field"}]
