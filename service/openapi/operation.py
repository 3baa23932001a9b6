"""The words of the table: what one method of one route takes and answers. A test compares it with the routes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

Schema = Mapping[str, Any]
Content = Mapping[str, type[BaseModel] | Schema]  # by media type

JSON = "application/json"
TEXT: Schema = {"type": "string"}
BINARY: Schema = {}  # OpenAPI 3.1: bytes that are no JSON have no schema
JSON_OBJECT: Schema = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the query or in a header; those in the path come from the template."""

    name: str
    schema: Schema
    description: str
    where: Literal["query", "header"] = "query"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one status brings."""

    description: str
    content: Content = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # name → meaning


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one route. *errors* are the codes beside those that follow from the route itself."""

    tag: str
    summary: str
    answers: Mapping[int, Answer]
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Content = field(default_factory=dict)
    body_required: bool = True
    errors: tuple[str, ...] = ()


Table = Mapping[tuple[str, str], Operation]  # by method and template
