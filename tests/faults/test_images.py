"""F28 to F33: files that are no image, half an image, another format, or far too large."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.e2e.server import ROOT
from tests.factories import encode, make_image, shipped_digit
from tests.faults.site import MIB, Site, least_cpu_s
from tests.faults.wire import multipart, seconds_of

pytestmark = pytest.mark.e2e
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def noisy(width: int, height: int, file_format: str = "PNG") -> bytes:
    """A picture that does not compress, so that every byte of its file matters."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return encode(Image.fromarray(pixels), file_format)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        np.random.default_rng(1).bytes(10_000),
        b"<html><body>",
        bytes(50_000),
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"RIFF\0\0\0\0WEBP",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"P6 1 1 255 abc",
    ],
)
def test_f28_what_is_no_image(shared: Site, data: bytes) -> None:
    """422 unidentified."""
    with shared.fault(rejected={"unidentified": 1}):
        answer = shared.classify(data)
        assert (answer.status_code, answer.json()["code"]) == (422, "unidentified")


def test_f28_a_hundred_large_bodies_leave_no_memory_behind(shared: Site) -> None:
    """Nine MiB each: what is refused is forgotten."""
    data = b"GIF8" + bytes(9 * MIB)
    with shared.fault(rejected={"unidentified": 100}, grows_bytes=24 * MIB):  # one body, and its copy
        for _ in range(100):
            assert shared.classify(data).status_code == 422


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_f29_half_an_image(shared: Site, file_format: str) -> None:
    """Wherever it is cut: 422 truncated, never a grey half."""
    data = noisy(200, 200, file_format)
    shares = (0.01, 0.1, 0.5, 0.9, 0.99)
    with shared.fault(rejected={"truncated": len(shares)}):
        for share in shares:
            answer = shared.classify(data[: int(len(data) * share)])
            assert (answer.status_code, answer.json()["code"]) == (422, "truncated"), share


def test_f29_a_whole_picture_without_its_end_mark(shared: Site) -> None:
    """A PNG that lacks only its last chunk shows everything."""
    digit, class_id = shipped_digit()
    with shared.fault():
        answer = shared.classify(digit[:-12])
        assert answer.json()["predictions"][0]["class_id"] == class_id


OTHERS = {
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n(owned) print flush\n",
    "PDF": b"%PDF-1.7\n",
    "PSD": b"8BPS\0\1" + bytes(100),
    "FITS": b"SIMPLE  =                    T" + bytes(2_000),
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "AVIF or HEIF": b"\0\0\0\x20ftypavif" + bytes(100),
}


@pytest.mark.parametrize("file_format", [*OTHERS, "TIFF", "ICO", "BMP", "GIF"])
@pytest.mark.parametrize("declared", ["image/png", "image/eps", "application/octet-stream"])
def test_f30_other_formats(shared: Site, file_format: str, declared: str) -> None:
    """415 by name, whatever is declared; no decoder of theirs is ever run."""
    data = OTHERS.get(file_format) or encode(make_image(64, 64), file_format)
    with shared.fault(rejected={"media_type": 1}):
        answer = shared.classify(data, headers={"Content-Type": declared})
        assert (answer.status_code, answer.json()["code"]) == (415, "media_type")
        assert answer.json()["error"] == f"{file_format} is not accepted; accepted are JPEG, PNG, WEBP"


def test_f30_a_file_that_is_two_formats(shared: Site) -> None:
    """A JPEG with a PDF in it is a JPEG, and a PDF with a JPEG in it is a PDF."""
    jpeg = encode(make_image(64, 64), "JPEG", comment=b"%PDF-1.7 %!PS-Adobe")
    with shared.fault(rejected={"media_type": 1}):
        assert shared.classify(jpeg + OTHERS["PDF"]).status_code == 200
        assert shared.classify(OTHERS["PDF"] + jpeg).status_code == 415


@pytest.mark.parametrize("declared", ["image/png", "image/jpg", "image/webp", "image/gif"])
def test_f31_a_declaration_that_lies(shared: Site, declared: str) -> None:
    """The bytes decide."""
    digit, class_id = shipped_digit()
    jpeg = encode(Image.open(io.BytesIO(digit)), "JPEG", quality=95)
    with shared.fault():
        answer = shared.classify(jpeg, headers={"Content-Type": declared})
        assert answer.json()["predictions"][0]["class_id"] == class_id


def bomb(width: int, height: int) -> bytes:
    """A PNG that unpacks to so many black pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    rows = b"".join([packer.compress(bytes(width + 1)) for _ in range(min(height, 9_400))]) + packer.flush()
    layout = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", layout) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(9_400, 9_400), (65_535, 65_535), (1, 60_000), (2**31 - 1, 2**31 - 1)])
def test_f32_bombs(shared: Site, size: tuple[int, int]) -> None:
    """422 from the header: no pixel is unpacked and no memory taken."""
    data = bomb(*size) if size[0] <= 9_400 else encode(make_image())[:16] + struct.pack(">II", *size) + bytes(50)

    def send() -> None:
        answer = shared.classify(data)
        assert (answer.status_code, answer.json()["code"]) == (422, "too_many_pixels")

    with shared.fault(rejected={"too_many_pixels": 20}, grows_bytes=4 * MIB):
        assert least_cpu_s(shared.worker, send, tries=20) < 0.005
        assert seconds_of(lambda: shared.classify(encode(make_image()))) < 1


@pytest.mark.parametrize("size", [(128, 128), (4_000, 4_000)])
def test_f32_scans_without_end(shared: Site, size: tuple[int, int]) -> None:
    """422 before a decoder sees it: each of them would have the whole picture walked through."""
    picture = encode(Image.new("L", size), "JPEG", progressive=True)
    endless = picture[:-2] + b"\xff\xda\0\x08\1\1\0\0\0\0" * 3_000 + picture[-2:]

    def send() -> None:
        answer = shared.classify(endless)
        assert (answer.status_code, answer.json()["code"]) == (422, "unidentified")
        assert answer.json()["error"] == "a JPEG file of more than 100 scans"

    with shared.fault(rejected={"unidentified": 20}, grows_bytes=4 * MIB):
        assert least_cpu_s(shared.worker, send, tries=20) < 0.005
        assert shared.classify(picture).status_code == 200


def test_f33_the_pixels_of_a_request_are_summed(shared: Site) -> None:
    """Eight images just under the limit of one: refused together, from their headers."""
    just_under = encode(Image.new("L", (4_000, 3_999)))
    with shared.fault(rejected={"too_many_pixels": 1}, grows_bytes=24 * MIB):
        answer = shared.classify(multipart(*[just_under] * 8), headers=FORM)
        assert (answer.status_code, answer.json()["code"]) == (422, "too_many_pixels")
        assert "127,968,000 pixels together exceed the limit of 64,000,000" in answer.json()["error"]


def test_images_at_the_limit_stay_within_the_documented_memory(shared: Site) -> None:
    """docs/operations.md: decodes at a time × pixels × bytes of a pixel, and the bodies."""
    largest = encode(Image.new("RGBA", (4_000, 4_000)))
    with shared.fault(grows_bytes=2 * 16_000_000 * 24):
        for _ in range(3):
            assert shared.classify(largest).status_code == 200
    assert "24 bytes" in (ROOT / "docs" / "operations.md").read_text()
