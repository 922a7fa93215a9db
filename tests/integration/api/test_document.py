"""The document tells the truth: what is made from it is answered as it says."""

import asyncio

import pytest

from ingress.console.api.operation import ROOT
from ingress.console.api.table import OPERATIONS
from shared.ledger.database import Pool
from tests.integration.api.conftest import Connect
from tests.integration.console.furnished import furnish
from tests.integration.exploring import explore


async def test_the_document_tells_every_operation_and_is_for_those_who_may_come_in(connect: Connect) -> None:
    told = await (await connect("vera")).get("/openapi.json")
    assert (told.status, told.json["openapi"]) == (200, "3.1.0")
    paths = told.json["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == {
        (operation.method, operation.path) for operation in OPERATIONS
    }
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)
    assert (await (await connect()).get("/openapi.json")).problem == "unauthenticated"


@pytest.mark.timeout(240)
async def test_whatever_is_asked_the_answer_is_one_of_the_document(pool: Pool, connect: Connect) -> None:
    """By fitting and unfitting requests alike; nothing that is asked is a fault of ours."""
    await furnish(pool)
    client = await connect("ada")
    await asyncio.to_thread(explore, f"{client._browser.origin}{ROOT}/openapi.json", str(client.token))
