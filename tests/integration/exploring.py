"""Asks a JSON API for whatever its OpenAPI document lets one think of, and holds every answer against it."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

EXAMPLES = 12
"""Of each operation."""


def explore(document: str, token: str) -> None:
    """Ask for all that the document at this address has."""
    headers = {"Authorization": f"Bearer {token}"}
    schema = schemathesis.openapi.from_url(document, headers=headers)
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
