"""Makes the OpenAPI 3.1 document from the table of routes, the table of operations and the error classes."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from models.errors import ModelError
from service import __version__
from service.errors import STATUS, RequestError
from service.http import Route
from service.openapi import admin, health, oip, v1
from service.openapi.answers import Failure
from service.openapi.operation import JSON, TEXT, Answer, Content, Operation, Table
from service.settings import Settings

OPERATIONS: Table = {**v1.TABLE, **admin.TABLE, **oip.TABLE, **health.TABLE}
TAGS = {
    "Classify": "Images in, labels out.",
    "Models": "What is served.",
    "Admin": "Changes what is served, on all workers; where keys are asked for, with the role admin.",
    "Open Inference": "The Open Inference Protocol v2, as KServe and Triton speak it.",
    "Health": "For probes and scrapers; no key is asked for.",
    "Pages": "For people.",
}
_REF = "#/components/schemas/{model}"
_PATH_PARAMETERS = {
    "name": "Name of a model.",
    "version": "Version of the model, a positive integer.",
    "repository": "Name of a repository; there is one, whatever it is called.",
    "region": "Name of a region.",
    "action": "What to do with it.",
    "file": "Name of a file, such as `base.css`.",
}
_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def build(routes: Iterable[Route], settings: Settings) -> dict[str, Any]:
    """Return the document of *routes*; raises `KeyError` for one that the table of operations does not have."""
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    models: set[type[BaseModel]] = {Failure}
    for route in routes:
        for method in route.handlers:
            operation = OPERATIONS[method, route.template]
            paths[route.template][method.lower()] = _operation(method, route, operation, settings, models)
    _, definitions = models_json_schema(
        [(model, "serialization") for model in sorted(models, key=lambda model: model.__name__)], ref_template=_REF
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ConvServe",
            "version": __version__,
            "summary": "Classifies images.",
            "description": "Every answer carries `X-Request-ID`, the client's if it is 1 to 128 of `A-Za-z0-9._-`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": settings.path_prefix or "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {"schemas": definitions["$defs"], "securitySchemes": _SECURITY_SCHEMES},
    }


@cache
def meanings() -> Mapping[str, str]:
    """Return what each error code means: the docstrings of the classes that have it."""
    found: dict[str, list[str]] = defaultdict(list)
    for base in (RequestError, ModelError):
        for error in _subclasses(base):
            sentence = " ".join((error.__doc__ or "").split("\n\n")[0].split())
            if sentence and sentence not in found[error.code]:
                found[error.code].append(sentence)
    return {code: " ".join(found[code]) for code in STATUS}


def error_codes(route: Route, operation: Operation) -> list[str]:
    """Return the codes that an operation may fail with: its own, and those of every route of its kind."""
    codes = [*operation.errors, "internal"]
    if route.role is not None:
        codes += ["unauthorized", "forbidden", "rate_limited"]
    if route.takes_body:
        codes += ["body_too_large", "slow_client", "media_type"]
    return sorted(set(codes), key=lambda code: (STATUS[code], code))


def _operation(
    method: str, route: Route, operation: Operation, settings: Settings, models: set[type[BaseModel]]
) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", route.template)
    made: dict[str, Any] = {
        "operationId": f"{method.lower()}{re.sub(r'[^a-zA-Z0-9]+', '_', route.template).rstrip('_')}",
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": TEXT, "description": _PATH_PARAMETERS[name]}
                for name in names
            ),
            *(
                {"name": one.name, "in": one.where, "schema": one.schema, "description": one.description}
                for one in operation.parameters
            ),
        ],
        "responses": _responses(route, operation, models),
    }
    if operation.description:
        made["description"] = operation.description
    if operation.body:
        made["requestBody"] = {"required": operation.body_required, "content": _content(operation.body, models)}
    if route.role is not None:
        made["x-role"] = route.role
    if route.role is not None and settings.keys_file is not None:
        made["security"] = [{"bearer": []}, {"key": []}]
    return made


def _responses(route: Route, operation: Operation, models: set[type[BaseModel]]) -> dict[str, Any]:
    made = {str(status): _answer(answer, models) for status, answer in operation.answers.items()}
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in error_codes(route, operation):
        by_status[STATUS[code]].append(code)
    for status, codes in by_status.items():
        text = "\n".join(f"- `{code}`: {meanings()[code]}" for code in codes)
        schema = {"allOf": [{"$ref": _REF.format(model="Failure")}], "properties": {"code": {"enum": codes}}}
        headers = {"Retry-After": "Seconds to wait."} if status in {429, 503} else {}
        made[str(status)] = _answer(Answer(text, {JSON: schema}, headers), models)
    return made


def _answer(answer: Answer, models: set[type[BaseModel]]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "description": answer.description,
        "headers": {
            "X-Request-ID": {"schema": TEXT, "required": True, "description": "Names the request in logs."},
            **{name: {"schema": TEXT, "description": text} for name, text in answer.headers.items()},
        },
    }
    if answer.content:
        made["content"] = _content(answer.content, models)
    return made


def _content(content: Content, models: set[type[BaseModel]]) -> dict[str, Any]:
    return {media_type: {"schema": _resolved(schema, models)} for media_type, schema in content.items()}


def _resolved(schema: Any, models: set[type[BaseModel]]) -> Any:
    """Return a schema as JSON: models in it, at any depth, become references."""
    if isinstance(schema, type):
        models.add(schema)
        return {"$ref": _REF.format(model=schema.__name__)}
    if isinstance(schema, Mapping):
        return {key: _resolved(value, models) for key, value in schema.items()}
    return [_resolved(value, models) for value in schema] if isinstance(schema, list) else schema


def _subclasses(base: type[Exception]) -> Iterable[Any]:
    for one in base.__subclasses__():
        yield one
        yield from _subclasses(one)
