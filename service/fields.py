"""JSON bodies of a few fields, as a pydantic model has them."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from models.spec import first_fault
from service.errors import BadJson, BadParameter

Fields = TypeVar("Fields", bound=BaseModel)


def parse(kind: type[Fields], body: bytes) -> Fields:
    """Return the fields of a body; raises `BadJson`, or `BadParameter` with the first fault in one line."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        if error.errors(include_url=False, include_context=False, include_input=False)[0]["type"] == "json_invalid":
            raise BadJson("the body is no JSON") from None
        raise BadParameter(first_fault(error)) from None
