"""What a JSON API answered, held against the document that says what it may answer."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker


@dataclass(frozen=True, slots=True)
class Told:
    """An answer as it came."""

    status: int
    raw: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.raw)
        assert isinstance(found, dict), found
        return found

    @property
    def items(self) -> list[dict[str, Any]]:
        assert self.status == 200, self.raw
        found: list[dict[str, Any]] = self.json["items"]
        return found

    @property
    def problem(self) -> str:
        """What is wrong, after the problem details were found to be some."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self.headers
        told = self.json
        assert told["status"] == self.status
        assert told["title"]
        assert told["detail"]
        return str(told["type"]).removeprefix("urn:kessai:problem:")


def conform(document: Mapping[str, Any], method: str, path: str, told: Told) -> None:
    """The answer of an operation is one that the document has; what is at no path, or by no method, it cannot have."""
    for template, operations in document["paths"].items():
        if method.lower() in operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            answers = operations[method.lower()]["responses"]
            assert str(told.status) in answers, (method, template, told.status, told.raw)
            content = answers[str(told.status)]["content"]
            media_type = told.headers["Content-Type"].partition(";")[0]
            assert media_type in content, (method, template, media_type)
            if "schema" in content[media_type]:
                schema = content[media_type]["schema"] | {"components": document["components"]}
                Draft202012Validator(schema, format_checker=FormatChecker()).validate(told.json)
            return
