"""service/oip/request.py: what is taken from a request, and what is refused about it."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from service.errors import RequestError, TooManyImages, Unsupported
from service.oip.request import parse
from tests.service.oip.signatures import IMAGE, OUTPUTS, TENSOR, body, element, given, pixels, with_tail


def binary(count: int = 1, **changes: Any) -> dict[str, Any]:
    """The `images` input as binary data."""
    return given(count, data=None, parameters={"binary_data_size": count * 4}, **changes)


def files(count: int, **changes: Any) -> dict[str, Any]:
    """The `image` input of the other face."""
    return {"name": "image", "datatype": "BYTES", "shape": [count], **changes}


def test_json_gives_images_and_all_outputs() -> None:
    """With what else was asked for."""
    request = parse(body(given(2), id="a", parameters={"timeout": 5, "priority": 2, "mine": "x"}), None, TENSOR)

    assert np.array_equal(request.images, pixels(2))
    assert [(want.spec, want.binary, want.classification) for want in request.outputs] == [
        (spec, False, 0) for spec in OUTPUTS
    ]
    assert (request.id, request.timeout_us, request.priority) == ("a", 5, 2)


def test_null_is_as_good_as_absent() -> None:
    """Some clients send it."""
    request = parse(body(given(parameters={}), id=None, parameters=None, outputs=None), None, TENSOR)

    assert (request.id, len(request.outputs)) == (None, 2)


def test_binary_data_comes_after_the_json() -> None:
    """And makes the same images."""
    data, length = with_tail(pixels(3).tobytes(), binary(3))

    assert np.array_equal(parse(data, length, TENSOR).images, pixels(3))


def test_image_files_come_as_elements_or_in_base64() -> None:
    """Those of no length too: they are refused where they are decoded."""
    data, length = with_tail(element(b"one") + element(b""), files(2, parameters={"binary_data_size": 11}))
    texts = [base64.b64encode(b"one").decode(), ""]

    assert parse(data, length, IMAGE).images == [b"one", b""]
    assert parse(body(files(2, data=texts)), None, IMAGE).images == [b"one", b""]


def test_a_raw_body_is_one_tensor() -> None:
    """The image face takes one file, the other as many images as there are; outputs are binary."""
    tensor, image = parse(pixels(2).tobytes(), b"0", TENSOR), parse(b"a file", b"0", IMAGE)

    assert np.array_equal(tensor.images, pixels(2))
    assert image.images == [b"a file"]
    assert all(want.binary for want in (*tensor.outputs, *image.outputs))
    assert len(tensor.outputs) == len(image.outputs) == 2


def test_a_raw_body_may_ask_for_json() -> None:
    """By what its client accepts."""
    assert not any(want.binary for want in parse(b"a file", b"0", IMAGE, accept=b"application/json").outputs)
    assert all(want.binary for want in parse(b"a file", b"0", IMAGE, accept=b"*/*").outputs)


def test_an_output_says_how_it_is_wanted() -> None:
    """Its own word goes before the request's; classes are no more than there are."""
    outputs = [
        {"name": "probabilities", "parameters": {"binary_data": False, "classification": 99}},
        {"name": "logits"},
    ]

    request = parse(body(given(), outputs=outputs, parameters={"binary_data_output": True}), None, TENSOR)

    assert [(want.spec.name, want.binary, want.classification) for want in request.outputs] == [
        ("probabilities", False, 3),
        ("logits", True, 0),
    ]


def test_of_equal_keys_the_last_counts() -> None:
    """As in most parsers of JSON."""
    data = body(given(), id="last").replace(b'"inputs"', b'"id": "first", "inputs"', 1)

    assert parse(data, None, TENSOR).id == "last"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"\xff\xd8\xff", "Invalid JSON"),
        (b'{"inputs":[{"name":"\\ud800"}]}', "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON: recursion limit"),
        (b'{"inputs":' + b"9" * 5000 + b"}", "Invalid JSON: number out of range"),
        (b"[]", "valid dictionary|object"),
        (b"{}", "inputs: Field required"),
        (b'{"inputs":{}}', "inputs: "),
        (b'{"inputs":[]}', "input images: missing"),
        (b'{"inputs":[1]}', "inputs.0"),
        (body(given(), id=1), "id: "),
        (body(given(), outputs="logits"), "outputs: "),
        (body(given(), parameters=[]), "parameters: "),
        (body(given(), given()), "images: given more than once"),
        (body(given(), given(name="more")), "unknown input 'more'; the model takes images"),
        (body(given(name="im\nage")), r"unknown input 'im\\nage'"),
        (body(given(name="x" * 10_000)), r"unknown input 'x{61}\.\.\.'"),
        (body(given(datatype="FP32")), "datatype 'FP32'; the model takes UINT8"),
        (body(given(datatype="uint8")), "'uint8', which is no datatype of the protocol"),
        (body(given(shape=[2, 2, 1])), r"shape \[2, 2, 1\] is not \[N, 2, 2, 1\]"),
        (body(given(shape=[1, 2, 1, 2])), "is not"),
        (body(given(shape=[-1, 2, 2, 1])), r"shape \[-1, 2, 2, 1\] is not"),
        (body(given(shape=[0, 2, 2, 1], data=[])), "with N from 1"),
        (body(given(shape=[-1, -2, -2, 1])), "is not"),
        (body(given(shape=[1] * 100_000)), "shape of 100000 dimensions"),
        (body(given(shape=[2**64, 2, 2, 1])), "the limit is 4"),
        (body(given(shape=[1.0, 2, 2, 1])), "shape.0"),
        (body(given(shape=[True, 2, 2, 1])), "shape.0"),
        (body(given(shape=["1", 2, 2, 1])), "shape.0"),
        (body(given(data=[1, 2, 3])), "3 elements of data where the shape takes 4"),
        (body(given(data=float("nan"))), "data: "),
        (body(given(data=[float("nan")] * 4)), "whole numbers"),
        (body(given(data=None)), "neither data nor binary_data_size"),
        (body(given(parameters={"binary_data_size": 4})), "both data and binary_data_size"),
        (body(binary()), "unexpected size for input images: 4 bytes announced, 0 sent"),
        (body(given(data=None, parameters={"binary_data_size": -1})), "binary_data_size: must be a whole number"),
        (body(given(data=None, parameters={"binary_data_size": 4.0})), "binary_data_size: must be"),
        (body(given(data=None, parameters={"binary_data_size": True})), "binary_data_size: must be"),
        (body(given(data=None, parameters={"binary_data_size": 10**30})), "binary_data_size: must be"),
        (body(given(parameters={"content_type": {}})), "'content_type' must be a string, a number or a boolean"),
        (body(given(), parameters={"triton_x": 1}), "triton_ are reserved"),
        (body(given(), parameters={"timeout": -1}), "timeout: must be"),
        (body(given(), parameters={"timeout": "1"}), "timeout: must be"),
        (body(given(), parameters={"priority": 2**64}), "priority: must be"),
        (body(given(), parameters={"binary_data_output": 1}), "binary_data_output: must be true or false"),
        (body(given(), outputs=[{"name": "scores"}]), "unknown output 'scores'; the model gives logits, probabilities"),
        (body(given(), outputs=[{"name": "logits"}] * 2), "output logits: asked for more than once"),
        (body(given(), outputs=[{"name": "logits", "parameters": {"classification": 0}}]), "a whole number from 1"),
        (body(given(), outputs=[{"name": "logits", "parameters": {"classification": -1}}]), "classification"),
        (body(given(), outputs=[{"name": "logits", "parameters": {"binary_data": "true"}}]), "binary_data: must be"),
    ],
)
def test_bad_json_is_refused(data: bytes, text: str) -> None:
    """In one line that names the part."""
    with pytest.raises(RequestError, match=text) as refused:
        parse(data, None, TENSOR)

    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("length", [b"-1", b"+1", b"x", b"", b"1e3", b"99999", b"9" * 5000])
def test_a_header_length_beyond_the_body_is_refused(length: bytes) -> None:
    """Or one that is no number."""
    with pytest.raises(RequestError, match="Inference-Header-Content-Length: must be a whole number from 0 to"):
        parse(body(given()), length, TENSOR)


@pytest.mark.parametrize(
    ("tail", "parts", "text"),
    [
        (b"abc", [binary()], "unexpected size for input images: 4 bytes announced, 3 sent"),
        (b"abcde", [binary()], "unexpected additional input data: 1 bytes"),
        (b"x", [given()], "unexpected additional input data: 1 bytes"),
        (b"abc", [given(data=None, parameters={"binary_data_size": 3})], "3 bytes for shape .* takes 4"),
    ],
)
def test_tails_must_fit(tail: bytes, parts: list[dict[str, Any]], text: str) -> None:
    """No byte short, none left over."""
    data, length = with_tail(tail, *parts)

    with pytest.raises(RequestError, match=text):
        parse(data, length, TENSOR)


@pytest.mark.parametrize(("data", "text"), [(b"", "0 bytes"), (b"abc", "3 bytes are not images of 4 bytes each")])
def test_raw_bytes_must_be_whole_images(data: bytes, text: str) -> None:
    """One at least."""
    with pytest.raises(RequestError, match=text):
        parse(data, b"0", TENSOR)


@pytest.mark.parametrize(
    "data",
    [
        body(files(1, data=["not base64!"])),
        body(files(1, data=["é"])),
        body(files(1, data=[1])),
        body(files(2, data=["YQ=="])),
    ],
)
def test_files_in_json_must_be_base64(data: bytes) -> None:
    """And as many as the shape says."""
    with pytest.raises(RequestError, match="input image"):
        parse(data, None, IMAGE)


def test_there_is_a_limit_of_images() -> None:
    """In every form of a request."""
    many, length = with_tail(pixels(5).tobytes(), binary(5))
    for data, header in ((body(given(5)), None), (many, length), (pixels(5).tobytes(), b"0")):
        with pytest.raises(TooManyImages, match="5 images in one request; the limit is 4"):
            parse(data, header, TENSOR)


@pytest.mark.parametrize(
    "data",
    [
        body(given(data=None, parameters={"shared_memory_region": "r", "shared_memory_byte_size": 4})),
        body(given(), outputs=[{"name": "logits", "parameters": {"shared_memory_region": "r"}}]),
    ],
)
def test_shared_memory_is_not_offered(data: bytes) -> None:
    """Neither for inputs nor for outputs."""
    with pytest.raises(Unsupported):
        parse(data, None, TENSOR)


@settings(deadline=None)
@drawn(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["name", "inputs", "data", "shape", "x"]), inner)
        ),
    ),
    st.none() | st.integers(-5, 50),
)
@example({"inputs": [given()]}, 0)
def test_anything_else_is_refused_and_nothing_more(content: Any, length: int | None) -> None:
    """No content makes anything but a refusal."""
    data = json.dumps(content).encode()
    for signature in (TENSOR, IMAGE):
        try:
            parse(data, None if length is None else str(length).encode(), signature)
        except RequestError:
            continue
