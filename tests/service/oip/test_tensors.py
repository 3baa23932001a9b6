"""service/oip/tensors.py: JSON and bytes to arrays and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import InvalidRequest
from service.oip import tensors
from tests.service.oip.signatures import element


@pytest.mark.parametrize(
    "data",
    [
        [0, 1, 2, 3, 4, 5],
        [[0, 1, 2], [3, 4, 5]],
        [[[0], [1], [2]], [[3], [4], [5]]],
    ],
)
def test_json_may_be_flat_or_nested(data: list[object]) -> None:
    """In row-major order."""
    found = tensors.pixels_from_json("x", data, (2, 3, 1))

    assert found.tolist() == [[[0], [1], [2]], [[3], [4], [5]]]
    assert found.dtype == np.uint8


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([0, 1, 2], "3 elements of data where the shape takes 4"),
        ([0, 1, 2, 3, 4], "5 elements"),
        ([], "0 elements"),
        ([[]], "0 elements"),
        ([0, 1, 2, 256], "whole numbers from 0 to 255"),
        ([0, 1, 2, -1], "whole numbers"),
        ([0, 1, 2, 10**400], "whole numbers"),
        ([0, 1, 2, 3.0], "whole numbers"),
        ([0, 1, 2, float("nan")], "whole numbers"),
        ([0, 1, 2, True], "whole numbers"),
        ([0, 1, 2, None], "whole numbers"),
        ([0, 1, 2, "3"], "whole numbers"),
        ([0, 1, 2, [3]], "whole numbers"),
        ([[0, 1], [2, 3, 4]], "nested unevenly"),
        ([[0, 1], 2, 3], "nested unevenly"),
        ([[0, 1], [2, [3]]], "whole numbers"),
    ],
)
def test_json_that_is_no_image_is_refused(data: list[object], text: str) -> None:
    """By what is wrong with it."""
    with pytest.raises(InvalidRequest, match=text):
        tensors.pixels_from_json("x", data, (1, 2, 2, 1))


@pytest.mark.parametrize(
    ("data", "text"), [(["a", 1], "must be strings"), (["a"], "1 elements"), ([None] * 2, "strings")]
)
def test_json_bytes_are_strings(data: list[object], text: str) -> None:
    """And as many as the shape says."""
    assert tensors.texts_from_json("x", [["a"], [""]], 2) == ["a", ""]
    with pytest.raises(InvalidRequest, match=text):
        tensors.texts_from_json("x", data, 2)


def test_binary_pixels_share_the_bodys_memory() -> None:
    """A request of many images is not copied before it is batched."""
    data = bytes(range(8))

    found = tensors.pixels_from_binary("x", memoryview(data), (2, 2, 2, 1))

    assert found.tobytes() == data
    assert not found.flags.owndata
    with pytest.raises(InvalidRequest, match=r"8 bytes for shape .* takes 4"):
        tensors.pixels_from_binary("x", memoryview(data), (1, 2, 2, 1))


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (b"", 1),
        (b"\x01\0\0", 1),
        (b"\x02\0\0\0a", 1),
        (b"\xff\xff\xff\xffa", 1),
        (element(b"a") + b"\0", 1),
        (element(b"a") + element(b"b"), 1),
        (element(b"a"), 2),
    ],
)
def test_elements_must_fill_their_bytes(data: bytes, count: int) -> None:
    """A short length, a long one, one element too many or too few."""
    with pytest.raises(InvalidRequest, match=f"are not {count} elements"):
        tensors.elements_from_binary("x", memoryview(data), count)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20)))
def test_elements_come_back(elements: list[bytes]) -> None:
    """Whatever they hold, those of no length too."""
    data = tensors.to_binary(elements)

    assert tensors.elements_from_binary("x", memoryview(data), len(elements)) == elements


def test_floats_leave_flat_and_little_endian() -> None:
    """As JSON numbers that are equal as float32, and as bytes."""
    values = np.array([[0.1, 2], [-3, 4]], np.float32)

    assert np.array(tensors.to_json(values), np.float32).tolist() == values.ravel().tolist()
    assert tensors.to_binary(values) == values.astype("<f4").tobytes()


def test_bytes_leave_as_text_or_with_their_lengths() -> None:
    """Text may hold more than ASCII."""
    assert tensors.to_json(["é".encode(), b""]) == ["é", ""]
    assert tensors.to_binary([b"ab", b""]) == b"\x02\0\0\0ab\0\0\0\0"
