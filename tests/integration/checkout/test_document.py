"""The document tells the truth: what is made from it is answered as it says."""

import asyncio

import pytest

from ingress.checkout.operation import AnyOperation
from ingress.checkout.table import OPERATIONS
from tests.integration.checkout.servers import CheckoutServers, System, document
from tests.integration.exploring import explore


async def test_the_document_tells_every_operation(system: System) -> None:
    told = await system.call("GET", "/openapi.json")
    assert (told.status, told.json["openapi"]) == (200, "3.1.0")
    paths = told.json["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == {
        (operation.method, operation.path) for operation in OPERATIONS
    }


async def test_whoever_has_no_token_yet_may_read_it(servers: CheckoutServers) -> None:
    told = await (await servers.open(None)).call("GET", "/openapi.json")
    assert (told.status, told.json["paths"]["/openapi.json"]["get"]["security"]) == (200, [])
    assert told.json["security"] == [{"token": []}]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_code_that_a_caller_may_switch_on_is_told(operation: AnyOperation) -> None:
    answers = document()["paths"][operation.path][operation.method.lower()]["responses"]
    told = {
        code
        for answer in answers.values()
        for schema in answer["content"].get("application/problem+json", {}).get("schema", {}).get("allOf", ())
        for code in schema.get("properties", {}).get("code", {}).get("enum", ())
    }
    assert told == {kind.code for kind in operation.refusals}
    if operation.name == "startCheckout":
        assert told >= {"METERED_INTEGRATION_REQUIRED", "HOSTED_CHECKOUT_NOT_ENABLED"}


@pytest.mark.timeout(240)
async def test_whatever_is_asked_the_answer_is_one_of_the_document(system: System) -> None:
    """By fitting and unfitting requests alike; nothing that is asked is a fault of ours."""
    for order_id in ("order-1", "0"):
        await system.put(order_id)
    await asyncio.to_thread(explore, f"{system.origin}/openapi.json", str(system.token))
