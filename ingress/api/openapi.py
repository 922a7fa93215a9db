"""The OpenAPI 3.1 document of an API, made from the table and the models that serve it."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from ingress.api.inputs import JSON, is_optional
from ingress.api.operation import Bytes, Listed, Operation, Thing
from ingress.api.problems import MEDIA_TYPE, Kind

Schema = dict[str, Any]
AnyOperation = Operation[Any, Any]

REF: Final = "#/components/schemas/{model}"

PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "code": {"type": "string", "description": "The same, as a word to switch on."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                "required": ["field", "message"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["type", "code", "title", "status", "detail"],
    "additionalProperties": False,
}


NOT_HTTP: Final[Schema] = {
    "description": "Not HTTP, or a request line of more than 8190 bytes.",
    "content": {"text/plain": {}},
}
"""Refusals of the HTTP server itself, before any handler runs."""


def document(operations: Sequence[AnyOperation], *, title: str, about: str, root: str) -> bytes:
    """The whole document as JSON; `root` is the path below which the operations are."""
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": title, "version": "1", "description": about},
            "servers": [{"url": root}],
            "security": [{"token": []}],
            "paths": paths,
            "components": {
                "schemas": {"Problem": PROBLEM} | schemas.found,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


class Schemas:
    """Types as named JSON schemas, each written once."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}

    def params(self, model: type[Any]) -> Schema:
        """The schema of parameters, as they may be sent."""
        schema: Schema = model.model_json_schema(mode="validation", ref_template=REF)
        self._keep(schema.pop("$defs", {}))
        return schema

    def answered(self, shape: Any) -> Schema:  # noqa: ANN401 - any type that has a schema
        """The schema of an answer: with every field, and no other."""
        schema = TypeAdapter(shape).json_schema(mode="serialization", ref_template=REF)
        self._keep({name: _whole(each) for name, each in schema.pop("$defs", {}).items()})
        if "properties" not in schema:
            return schema
        self._keep({shape.__name__: _whole(schema)})
        return {"$ref": REF.format(model=shape.__name__)}

    def _keep(self, schemas: Mapping[str, Schema]) -> None:
        for name, schema in schemas.items():
            if self.found.setdefault(name, schema) != schema:
                raise AssertionError(f"two types of the API are named {name}")


def _whole(schema: Schema) -> Schema:
    if "properties" not in schema:
        return schema
    return schema | {"required": list(schema["properties"]), "additionalProperties": False}


def _operation(operation: AnyOperation, schemas: Schemas) -> Schema:
    params = schemas.params(operation.params)
    names = operation.path_names
    made: Schema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.path.split("/")[1]],
        **operation.extensions,
        "parameters": [
            _parameter(name, schema, params, in_path=name in names)
            for name, schema in params.get("properties", {}).items()
            if name in names or not operation.is_act
        ],
        "responses": _answers(operation, schemas) | {"400": NOT_HTTP} | _refusals(operation.refusals),
    }
    if operation.is_act:
        body = _body(params, names)
        made["requestBody"] = {"required": not is_optional(body), "content": {JSON: {"schema": body}}}
    return made


def _parameter(name: str, schema: Schema, params: Schema, *, in_path: bool) -> Schema:
    description = {"description": schema["description"]} if "description" in schema else {}
    return {
        "name": name,
        "in": "path" if in_path else "query",
        "required": in_path or name in params.get("required", ()),
        "schema": _unless_null(schema),
        **description,
    }


def _unless_null(schema: Schema) -> Schema:
    """The schema of a query parameter: it is left out instead of being null."""
    made = {name: value for name, value in schema.items() if name not in ("title", "description", "default")}
    if schema.get("default") is not None:
        made["default"] = schema["default"]
    options = [option for option in made.pop("anyOf", ()) if option != {"type": "null"}]
    return made | (options[0] if len(options) == 1 else {"anyOf": options} if options else {})


def _body(params: Schema, names: Sequence[str]) -> Schema:
    """The schema of a body: the parameters without those of the path."""
    properties = {name: schema for name, schema in params.get("properties", {}).items() if name not in names}
    required = [name for name in params.get("required", ()) if name not in names]
    made = params | {"type": "object", "properties": properties, "additionalProperties": False}
    made.pop("required", None)
    return made | ({"required": required} if required else {})


def _answers(operation: AnyOperation, schemas: Schemas) -> dict[str, Schema]:
    match operation.answers:
        case Thing(shape, statuses):
            content = {JSON: {"schema": schemas.answered(shape)}}
            return {str(int(status)): _answer(status, content) for status in statuses}
        case Listed(shape):
            return {"200": _answer(HTTPStatus.OK, {JSON: {"schema": _page(schemas.answered(shape))}})}
        case Bytes(media_types):
            return {"200": _answer(HTTPStatus.OK, {media_type: {} for media_type in media_types})}


def _answer(status: HTTPStatus, content: Schema) -> Schema:
    made: Schema = {"description": status.phrase, "content": content}
    if status in (HTTPStatus.CREATED, HTTPStatus.ACCEPTED):
        made["headers"] = {"Location": {"required": True, "schema": {"type": "string"}}}
    if status is HTTPStatus.ACCEPTED:
        made["headers"] |= {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}}
    return made


def _page(item: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": item},
            "next_cursor": {
                "type": ["string", "null"],
                "description": "Where the list goes on; null when it ends here.",
            },
        },
        "required": ["items", "next_cursor"],
        "additionalProperties": False,
    }


def _refusals(kinds: Sequence[Kind]) -> dict[str, Schema]:
    by_status: dict[HTTPStatus, list[Kind]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    return {str(int(status)): _refusal(status, each) for status, each in sorted(by_status.items())}


def _refusal(status: HTTPStatus, kinds: Sequence[Kind]) -> Schema:
    one_of_these = {
        "properties": {
            "type": {"enum": [kind.type for kind in kinds]},
            "code": {"enum": [kind.code for kind in kinds]},
            "status": {"const": int(status)},
        }
    }
    made: Schema = {
        "description": "; ".join(kind.title for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": {"allOf": [{"$ref": REF.format(model="Problem")}, one_of_these]}}},
    }
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        made["headers"] = {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}}
    return made
