"""models/header.py: how many scans and segments of a JPEG there may be, and what only looks like one."""

import pytest
from PIL import Image

from models.errors import ImageTooLarge, InvalidImage
from models.header import MAX_ARITHMETIC_SCANS, MAX_SCANS, MAX_SEGMENTS, Header, read
from models.preprocess import DecodeLimits, decode, examine, open_image, preprocess
from tests.factories import encode, make_geometry, make_image

SCAN = b"\xff\xda\0\x08\1\1\0\0\0\0"  # of the first component's mean alone, and without data
PICTURE = encode(make_image(64, 64), "JPEG", progressive=True)
OWN = PICTURE.count(b"\xff\xda")
END = b"\xff\xd9"
GEOMETRY, LIMITS = make_geometry(), DecodeLimits()


def with_scans(count: int, data: bytes = PICTURE) -> bytes:
    """The picture with so many scans in all."""
    return data[:-2] + SCAN * (count - OWN) + END


def segment(kind: int, data: bytes) -> bytes:
    """A segment with its length."""
    return bytes([0xFF, kind]) + (2 + len(data)).to_bytes(2, "big") + data


def test_scans_without_end_are_refused() -> None:
    """As many as the limit are decoded; of one more nothing is, in a thread or in none."""
    assert preprocess(with_scans(MAX_SCANS), GEOMETRY, LIMITS).shape == (28, 28, 1)
    for data in (with_scans(MAX_SCANS + 1), with_scans(1_000_000)):
        for refuse in (examine, preprocess):
            with pytest.raises(InvalidImage, match="a JPEG file of more than 100 scans"):
                refuse(data, GEOMETRY, LIMITS)


def test_of_an_arithmetic_coded_picture_there_may_be_fewer() -> None:
    """Their scans cost more."""
    coded = PICTURE.replace(b"\xff\xc2", b"\xff\xca")

    assert read(with_scans(MAX_ARITHMETIC_SCANS, coded), "JPEG").progressive
    with pytest.raises(InvalidImage, match="more than 25 scans"):
        read(with_scans(MAX_ARITHMETIC_SCANS + 1, coded), "JPEG")


@pytest.mark.parametrize(
    "between", [b"\xff\xff\xff", b"\xff\xd3", b"\xff\0", segment(0xFE, b"\xff\xd9"), segment(0xE1, b"\xff")]
)
def test_scans_are_found_behind_anything(between: bytes) -> None:
    """Padding, restarts, stuffed data, and a comment that holds what would be the end."""
    with pytest.raises(InvalidImage, match="more than 100 scans"):
        read(PICTURE[:-2] + (between + SCAN) * MAX_SCANS + END, "JPEG")


def test_what_looks_like_a_scan_is_none() -> None:
    """In a thumbnail, wherever one may stand before the first scan."""
    thumbnail = segment(0xE1, b"Exif\0\0" + SCAN * 1_000)
    first = PICTURE.index(b"\xff\xda")

    for data in (
        PICTURE[:2] + thumbnail + PICTURE[2:],
        PICTURE[:first] + thumbnail + PICTURE[first:],
    ):
        assert read(data, "JPEG") == Header("JPEG", 64, 64, progressive=True)
        assert (preprocess(data, GEOMETRY, LIMITS) == preprocess(PICTURE, GEOMETRY, LIMITS)).all()


@pytest.mark.parametrize(
    "options",
    [
        {"progressive": True, "subsampling": 0, "optimize": True},
        {"progressive": True, "quality": 100, "restart_marker_blocks": 1},
        {"progressive": True, "quality": 1, "qtables": "web_low"},
        {"quality": 95, "restart_marker_blocks": 4},
    ],
)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_what_encoders_write_is_read(mode: str, options: dict[str, object]) -> None:
    """However they are told to."""
    data = encode(make_image(300, 200, mode), "JPEG", **options)

    assert read(data, "JPEG") == Header("JPEG", 300, 200, progressive="progressive" in options)


def one_scan_each() -> bytes:
    """A baseline picture whose three components come one after the other, as some cameras and scanners write them."""
    grey = encode(Image.new("L", (64, 64), 200), "JPEG")
    frame, scan = grey.index(b"\xff\xc0"), grey.index(b"\xff\xda")
    colour = segment(0xC0, grey[frame + 4 : frame + 9] + b"\3" + b"".join(bytes([n, 0x11, 0]) for n in (1, 2, 3)))
    scans = [segment(0xDA, bytes([1, n, 0, 0, 63, 0])) + grey[scan + 10 : -2] for n in (1, 2, 3)]
    return grey[:frame] + colour + grey[frame + 13 : scan] + b"".join(scans) + END


def test_a_baseline_picture_in_several_scans_is_kept_whole() -> None:
    """It is decoded, and held to the limit of what cannot be decoded smaller."""
    data = one_scan_each()
    geometry = make_geometry(jpeg_draft=True)

    assert preprocess(data, geometry, LIMITS).shape == (28, 28, 1)
    with pytest.raises(ImageTooLarge):
        examine(data, geometry, DecodeLimits(max_pixels=4_095))


@pytest.mark.parametrize(
    "piece", [segment(0xFE, b""), b"\xff\xd0", b"\xff\0", segment(0xF0, segment(0xFE, b"") * 1_000)]
)
def test_segments_between_frame_and_scan_count(piece: bytes) -> None:
    """Pillow's parser goes through all of them, in Python."""
    first = PICTURE.index(b"\xff\xda")

    with pytest.raises(InvalidImage, match="more than 4,096 segments"):
        read(PICTURE[:first] + piece * MAX_SEGMENTS + PICTURE[first:], "JPEG")


@pytest.mark.parametrize("junk", [bytes(10_000), END + bytes(100)])
def test_junk_between_frame_and_scan_is_no_picture(junk: bytes) -> None:
    """Nor an end that comes before anything is shown."""
    first = PICTURE.index(b"\xff\xda")

    with pytest.raises(InvalidImage, match="not a readable JPEG"):
        read(PICTURE[:first] + junk + PICTURE[first:], "JPEG")


def test_a_picture_with_others_behind_it_is_decoded_smaller_too() -> None:
    """Phones and stereo cameras write such files; the limit of what is decoded smaller has let them through."""
    first, second = (make_image(800, 600, "RGB", seed=seed) for seed in (1, 2))
    several = encode(first, "MPO", save_all=True, append_images=[second])
    geometry = make_geometry(jpeg_draft=True)
    image = open_image(several, geometry, LIMITS)

    assert image.format == "MPO"
    assert max(decode(image, geometry).size) == 100
    assert (preprocess(several, geometry, LIMITS) == preprocess(encode(first, "JPEG"), geometry, LIMITS)).all()
