"""F34 to F38: metadata that costs more than pixels, animations, every mode, extreme shapes, one bad among good."""

import io
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.factories import encode, make_image, shipped_digit
from tests.faults.site import MIB, Site, least_cpu_s
from tests.faults.wire import multipart, seconds_of

pytestmark = pytest.mark.e2e
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
DIGIT, CLASS_ID = shipped_digit()


def digit() -> Image.Image:
    """The real digit, larger, so that no lossy format changes its class."""
    return Image.open(io.BytesIO(DIGIT)).resize((224, 224), Image.Resampling.NEAREST).convert("L")


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunks(*chunks: bytes, data: bytes | None = None, at: int = 33) -> bytes:
    """The digit as a PNG with chunks after its header, or elsewhere."""
    data = data or encode(digit())
    return data[:at] + b"".join(chunks) + data[at:]


def tags_that_overlap(entries: int) -> bytes:
    """EXIF whose every tag claims the same megabytes."""
    head = b"II*\0" + struct.pack("<IH", 8, entries)
    return (
        b"Exif\0\0" + head + b"".join(struct.pack("<HHII", n, 7, 2 * MIB, 8) for n in range(entries)) + bytes(2 * MIB)
    )


HOSTILE = {
    "text": with_chunks(*[chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(900_000), 9)) for _ in range(1_000)]),
    "endless text": with_chunks(chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(50 * MIB), 9))),
    "profile": with_chunks(chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(50 * MIB), 9))),
    "exif": with_chunks(chunk(b"eXIf", tags_that_overlap(65_000)[6:])),
    "few compressed texts": with_chunks(*[chunk(b"zTXt", b"\0\0" + zlib.compress(bytes(MIB - 1), 9))] * 16),
    "few compressed texts of a tiny one": with_chunks(
        *[chunk(b"zTXt", b"\0\0" + zlib.compress(bytes(MIB - 1), 9))] * 16, data=DIGIT
    ),
    "compressed texts without key": with_chunks(*[chunk(b"zTXt", b"\0\0" + zlib.compress(bytes(MIB - 1), 9))] * 4_000),
    "profiles": with_chunks(*[chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(MIB - 1), 9))] * 4_000),
    "small chunks": with_chunks(*[chunk(b"tEXt", b"k\0v")] * 4_000),
    "more small chunks": with_chunks(*[chunk(b"tEXt", b"k\0v")] * 60_000),
    "small chunks of a tiny one": with_chunks(*[chunk(b"tEXt", b"k\0v")] * 4_000, data=DIGIT),
    "more small chunks of a tiny one": with_chunks(*[chunk(b"tEXt", b"k\0v")] * 300_000, data=DIGIT),
    "frames first": with_chunks(
        *[chunk(b"fcTL", struct.pack(">IIIIIHHBB", n, 224, 224, 0, 0, 1, 1, 0, 0)) for n in range(4_000)]
    ),
    "empty pieces": with_chunks(*[chunk(b"IDAT", b"")] * 4_000),
    "empty pieces at the end": with_chunks(*[chunk(b"IDAT", b"")] * 4_000, at=-12),
    "empty pieces of a tiny one": with_chunks(*[chunk(b"IDAT", b"")] * 300_000, data=DIGIT),
    "jpeg comments": encode(digit(), "JPEG")[:2] + b"\xff\xfe\0\2" * 4_000 + encode(digit(), "JPEG")[2:],
    "jpeg comments before the scan": encode(digit(), "JPEG").replace(
        b"\xff\xda", b"\xff\xfe\0\2" * 300_000 + b"\xff\xda"
    ),
    "jpeg exif": encode(digit(), "JPEG", exif=tags_that_overlap(5_000)[:65_000], quality=95),
    "webp exif": encode(digit(), "WEBP", exif=tags_that_overlap(65_000), lossless=True),
}


REFUSED = {
    "text": "unidentified",
    "endless text": "truncated",
    "profile": "truncated",
    "compressed texts without key": "unidentified",
    "profiles": "unidentified",
    "more small chunks": "unidentified",
    "more small chunks of a tiny one": "unidentified",
    "empty pieces of a tiny one": "unidentified",
    "jpeg comments before the scan": "unidentified",
}
# of the processor, which the contract has; the least of several tries, or a scrape would count
METADATA_CPU_S, TRIES = 0.05, 5


@pytest.mark.parametrize("name", HOSTILE)
def test_f34_metadata_bombs(shared: Site, name: str) -> None:
    """Refused, or classified rightly; soon, and without memory for what is not looked at."""
    code = REFUSED.get(name)

    def send() -> None:
        answer = shared.classify(HOSTILE[name])
        if code is None:
            assert answer.json()["predictions"][0]["class_id"] == CLASS_ID
        else:
            assert (answer.status_code, answer.json()["code"]) == (422, code)

    with shared.fault(rejected={code: TRIES} if code else {}, grows_bytes=40 * MIB):
        assert least_cpu_s(shared.worker, send, tries=TRIES) < METADATA_CPU_S


@pytest.mark.parametrize("file_format", ["PNG", "WEBP"])
def test_f35_of_animations_the_first_frame_counts(shared: Site, file_format: str) -> None:
    """Ten thousand more are not looked at."""
    first = Image.open(io.BytesIO(DIGIT)).convert("L")
    rest = [Image.new("L", first.size, n % 256) for n in range(10_000)]
    data = encode(
        first, file_format, save_all=True, append_images=rest, **({"lossless": True} if file_format == "WEBP" else {})
    )
    with shared.fault(grows_bytes=24 * MIB):
        answer = None

        def send() -> None:
            nonlocal answer
            answer = shared.classify(data)

        assert seconds_of(send) < 1
        assert answer is not None
        assert answer.json()["predictions"][0]["class_id"] == CLASS_ID


def as_ycck(grey: Image.Image) -> bytes:
    """As Photoshop writes CMYK: luminance and chrominance of the inverse, and a marker that says so.

    Pillow writes planes as they are, but inverted; the last byte of Adobe's marker tells a decoder to transform them.
    """
    middle = Image.new("L", grey.size, 127)
    data = encode(
        Image.merge("CMYK", (grey, middle, middle, Image.new("L", grey.size, 0))), "JPEG", quality=95, subsampling=0
    )
    marker = data.index(b"Adobe") + 11
    assert data[marker] == 0
    return data[:marker] + b"\2" + data[marker + 1 :]


def in_mode(mode: str) -> bytes:
    """The digit in each mode that an allowed format carries."""
    grey = digit()
    if mode == "I;16":
        return encode(Image.fromarray(np.asarray(grey).astype(np.uint16) * 257))
    if mode == "P+tRNS":
        palette = grey.convert("P")  # whose first colour would be white, if it could be seen
        palette.putpalette(bytes([255] * 3) + b"".join(bytes([level] * 3) for level in range(1, 256)))
        return encode(palette, transparency=0)
    if mode == "CMYK":
        return encode(grey.convert("RGB").convert("CMYK"), "JPEG", quality=95)
    if mode == "YCCK":
        return as_ycck(grey)
    if mode in ("LA", "RGBA"):
        clear = grey.point(lambda value: value or 255).convert(mode)  # what cannot be seen is white
        clear.putalpha(grey.point(lambda value: 255 if value else 0))  # the model's background is black
        return encode(clear)
    return encode(grey.convert(mode))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "P+tRNS", "RGB", "RGBA", "CMYK", "YCCK", "I;16"])
def test_f36_every_mode(shared: Site, mode: str) -> None:
    """The same class in each."""
    with shared.fault():
        answer = shared.classify(in_mode(mode))
        assert answer.status_code == 200
        assert answer.json()["predictions"][0]["class_id"] == CLASS_ID


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_f36_every_orientation(shared: Site, file_format: str) -> None:
    """However the camera was held, with a colour profile too."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation → transposition that a camera applied
    with shared.fault():
        for orientation in range(1, 9):
            stored = digit().convert("RGB")
            if orientation in undo:
                stored = stored.transpose(Image.Transpose(undo[orientation]))
            exif = Image.Exif()
            exif[0x0112] = orientation
            data = encode(stored, file_format, exif=exif, icc_profile=b"no real profile" * 100)
            answer = shared.classify(data)
            assert answer.json()["predictions"][0]["class_id"] == CLASS_ID, orientation


@pytest.mark.parametrize("size", [(1, 1), (1, 4_000), (4_000, 1)])
def test_f37_extreme_shapes(shared: Site, size: tuple[int, int]) -> None:
    """Resized like any other."""
    with shared.fault():
        assert shared.classify(encode(make_image(*size))).status_code == 200


def test_f38_one_bad_image_among_good_ones(shared: Site) -> None:
    """It alone is refused, in its place; requests beside it do not notice."""
    others: list[int] = []
    stop = threading.Event()

    def others_go_on() -> None:
        with shared.server.client() as client:
            while not stop.is_set():
                answer = client.post("/v1/classify", content=DIGIT)
                others.append(answer.json()["predictions"][0]["class_id"] if answer.status_code == 200 else -1)

    beside = threading.Thread(target=others_go_on)
    files = [DIGIT] * 8
    with shared.fault(rejected={"truncated": 20}):
        beside.start()
        for n in range(20):
            files[n % 8] = encode(make_image(200, 200))[:-500]
            results = shared.classify(multipart(*files), headers=FORM).json()["results"]
            files[n % 8] = DIGIT
            assert [result.get("code") for result in results] == ["truncated" if i == n % 8 else None for i in range(8)]
            good = [result["predictions"][0]["class_id"] for result in results if "predictions" in result]
            assert good == [CLASS_ID] * 7
        stop.set()
        beside.join()
    assert set(others) == {CLASS_ID}
