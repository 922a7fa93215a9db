"""The document tells the truth: what is made from it is answered as it says."""

import asyncio
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from ingress.console.api.operation import ROOT
from ingress.console.api.table import OPERATIONS
from shared.ledger.database import Pool
from tests.integration.api.conftest import Line
from tests.integration.console.furnished import furnish

EXAMPLES = 12
"""Of each operation."""


async def test_the_document_tells_every_operation_and_is_for_those_who_may_come_in(line: Line) -> None:
    told = await (await line("vera")).get("/openapi.json")
    assert (told.status, told.json["openapi"]) == (200, "3.1.0")
    paths = told.json["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == {
        (operation.method, operation.path) for operation in OPERATIONS
    }
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)
    assert (await (await line()).get("/openapi.json")).problem == "unauthenticated"


@pytest.mark.timeout(240)
async def test_whatever_is_asked_the_answer_is_one_of_the_document(pool: Pool, line: Line) -> None:
    """By fitting and unfitting requests alike; nothing that is asked is a fault of ours."""
    await furnish(pool)
    script = await line("ada")
    await asyncio.to_thread(explore, script._desk.origin, str(script.token))


def explore(origin: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    schema = schemathesis.openapi.from_url(f"{origin}{ROOT}/openapi.json", headers=headers)
    schema.validate()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        for mode in GenerationMode:
            _try(found.ok().as_strategy(generation_mode=mode), headers)


def _try(cases: SearchStrategy[Any], headers: dict[str, str]) -> None:
    @given(case=cases)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def try_it(case: Any) -> None:  # noqa: ANN401 - schemathesis' own
        case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

    try_it()
