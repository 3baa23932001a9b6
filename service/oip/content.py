"""The JSON of an inference request, by its shape alone: keys, types, and the parameters that every part may have."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.spec import first_fault
from service.errors import InvalidRequest, Unsupported, quoted

MAX_WHOLE: Final = 2**63 - 1
_FAULT_CHARACTERS: Final = 160
_MAX_PARTS: Final = 64  # inputs or outputs; models here have one input and three outputs at most
# keys and objects: a million of either take a second and hundreds of megabytes before they are refused
_MAX_COLONS: Final = 4_096
Parameters = dict[str, Any]
# of a list only the first fault is looked for: pydantic keeps one an element, hundreds of times as large as its text
_FirstFault = Field(fail_fast=True)
_Parts = Field(fail_fast=True, max_length=_MAX_PARTS)


class Part(BaseModel):
    """What a part is made of; keys that are not known are not looked at, of equal keys the last counts."""

    model_config = ConfigDict(strict=True, frozen=True)


class Input(Part):
    """A tensor that is sent, with its data or the size of its data."""

    name: str
    datatype: str
    shape: Annotated[list[int], _FirstFault]
    parameters: Parameters | None = None
    data: list[Any] | None = None


class Output(Part):
    """A tensor that is asked for."""

    name: str
    parameters: Parameters | None = None


class Content(Part):
    """The whole."""

    inputs: Annotated[list[Input], _Parts]
    outputs: Annotated[list[Output], _Parts] | None = None
    id: str | None = None
    parameters: Parameters | None = None


def read(data: bytes) -> Content:
    """Parse the JSON of a request; raises `InvalidRequest` with the first fault in one line."""
    if data.count(b":") > _MAX_COLONS or data.count(b"{") > _MAX_COLONS:
        raise InvalidRequest(f"the JSON has more than {_MAX_COLONS:,} keys or objects, or colons and braces in texts")
    try:
        return Content.model_validate_json(data)
    except ValidationError as error:
        raise InvalidRequest(_one_line(first_fault(error))) from error


def checked(where: str, parameters: Parameters | None) -> Parameters:
    """Return parameters whose names and types are allowed; unknown ones are the client's own and are not looked at."""
    for name, value in (parameters or {}).items():
        if type(value) not in (str, int, float, bool):
            raise InvalidRequest(f"{where}: parameter {quoted(name)} must be a string, a number or a boolean")
        if name.startswith("triton_"):
            raise InvalidRequest(f"{where}: parameter {quoted(name)}: names that begin with triton_ are reserved")
        if name.startswith("shared_memory_"):
            raise Unsupported("shared memory is not offered; send tensors as JSON or binary data")
    return parameters or {}


def whole(parameters: Parameters, name: str, most: int = MAX_WHOLE) -> int:
    """Return a parameter that is a whole number from 0, the default, to *most*; raises `InvalidRequest`."""
    value = parameters.get(name, 0)
    if type(value) is not int or not 0 <= value <= most:
        raise InvalidRequest(f"parameter {name}: must be a whole number from 0 to {most}")
    return value


def flag(parameters: Parameters, name: str, *, default: bool) -> bool:
    """Return a parameter that is true or false; raises `InvalidRequest`."""
    value = parameters.get(name, default)
    if type(value) is not bool:
        raise InvalidRequest(f"parameter {name}: must be true or false")
    return value


def _one_line(text: str) -> str:
    line = "".join(character if character.isprintable() else "�" for character in text)
    return line if len(line) <= _FAULT_CHARACTERS else line[: _FAULT_CHARACTERS - 3] + "..."
