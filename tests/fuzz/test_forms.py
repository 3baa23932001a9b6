"""Multipart bodies in the form in which hypothesis can shrink what it finds: whole ones, and damaged ones."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import BadMultipart, TooManyImages
from service.multipart import parse
from tests.fuzz.images import seeds

MAX_FILES = 8
BOUNDARIES = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_'()+,./:=?", min_size=1, max_size=70)
NAMES = st.sampled_from(
    [b'name="f"; filename="f"', b'name=f; filename=""', b'filename="\xff\\"; filename="', b'name="f"', b"", b";" * 40]
)
PIECES = st.sampled_from([b"--", b"\r\n", b"\r", b"\n", b"--b", b"\r\n--b--", b": ", b"\0", b"\xff" * 9, b"a" * 4_000])
CONTENTS = st.one_of(st.binary(max_size=300), st.sampled_from(seeds()).map(lambda data: data[:2_000]))
HOW_MANY = settings(max_examples=1_500, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def form(boundary: bytes, parts: list[tuple[bytes, bytes]]) -> bytes:
    """A whole body of parts, each with what its disposition says."""
    start = b"--" + boundary + b"\r\nContent-Disposition: form-data; "
    body = b"".join(start + name + b"\r\n\r\n" + content + b"\r\n" for name, content in parts)
    return body + b"--" + boundary + b"--\r\n"


def content_type(boundary: bytes) -> bytes:
    """The header of such a body."""
    return b'multipart/form-data; boundary="' + boundary + b'"'


@given(boundary=BOUNDARIES.map(str.encode), contents=st.lists(CONTENTS, min_size=1, max_size=MAX_FILES))
@HOW_MANY
def test_whole_forms_come_out_as_they_went_in(boundary: bytes, contents: list[bytes]) -> None:
    """Every file, byte for byte, whatever is in it but the boundary."""
    contents = [content for content in contents if b"\r\n--" + boundary not in b"\r\n" + content]
    body = form(boundary, [(b'name="f"; filename="f"', content) for content in contents])

    if not contents:
        with pytest.raises(BadMultipart):
            parse(content_type(boundary), body, MAX_FILES)
        return
    assert parse(content_type(boundary), body, MAX_FILES) == contents


@given(
    parts=st.lists(st.tuples(NAMES, CONTENTS), max_size=MAX_FILES + 2),
    damage=st.lists(st.tuples(st.integers(0, 2**14), st.integers(0, 200), PIECES), min_size=1, max_size=6),
    header=st.one_of(st.just(content_type(b"b")), st.binary(max_size=100)),
)
@HOW_MANY
def test_damaged_forms_are_files_or_an_error_of_ours(
    parts: list[tuple[bytes, bytes]], damage: list[tuple[int, int, bytes]], header: bytes
) -> None:
    """Pieces are cut out and others put in; what comes is files, within the limit, or says what is wrong."""
    body = form(b"b", parts)
    for place, removed, piece in damage:
        at = place % (len(body) + 1)
        body = body[:at] + piece + body[at + removed :]

    try:
        files = parse(header, body, MAX_FILES)
    except (BadMultipart, TooManyImages):
        return
    assert 1 <= len(files) <= MAX_FILES
    assert sum(map(len, files)) <= len(body)
