"""The document tells the truth: what is made from it is answered as it says."""

import asyncio

import pytest

from ingress.checkout.table import OPERATIONS
from tests.integration.checkout.counter import System
from tests.integration.exploring import explore


async def test_the_document_tells_every_operation(system: System) -> None:
    told = await system.call("GET", "/openapi.json")
    assert (told.status, told.json["openapi"]) == (200, "3.1.0")
    paths = told.json["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == {
        (operation.method, operation.path) for operation in OPERATIONS
    }


@pytest.mark.timeout(240)
async def test_whatever_is_asked_the_answer_is_one_of_the_document(system: System) -> None:
    """By fitting and unfitting requests alike; nothing that is asked is a fault of ours."""
    for order_id in ("order-1", "0"):
        await system.put(order_id)
    await asyncio.to_thread(explore, f"{system.origin}/openapi.json", str(system.token))
