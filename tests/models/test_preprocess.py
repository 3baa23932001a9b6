"""models/preprocess.py."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from models.errors import ImageFormatNotAllowed, ImageTooLarge, InvalidImage, ModelError, TruncatedImage
from models.preprocess import DecodeLimits, draft_scale, open_image, preprocess
from tests.factories import encode, make_geometry, make_image

RGB = make_geometry(mode="RGB", height=64, width=64)
LIMITS = DecodeLimits()
EVERYTHING = DecodeLimits(formats=frozenset({"JPEG", "PNG", "WEBP", "BMP", "GIF"}))


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def webp_header(kind: bytes, payload: bytes) -> bytes:
    """A WebP file that is nothing but its header."""
    body = b"WEBP" + kind + struct.pack("<I", len(payload)) + payload
    return b"RIFF" + struct.pack("<I", len(body)) + body


def close(left: np.ndarray, right: np.ndarray, tolerance: int) -> bool:
    """Whether two uint8 arrays differ nowhere by more than *tolerance*."""
    return int(np.abs(left.astype(int) - right.astype(int)).max()) <= tolerance


def test_an_image_of_the_right_size_is_taken_as_it_is() -> None:
    """No resampling, no copy of values, shape (H, W, C)."""
    image = make_image()

    array = preprocess(encode(image), make_geometry(), LIMITS)

    assert array.shape == (28, 28, 1)
    assert array.dtype == np.uint8
    assert (array[:, :, 0] == np.asarray(image)).all()


def test_stretch_resamples_the_whole_image() -> None:
    """Each side goes to its target with the spec's interpolation."""
    image = make_image(90, 40)
    geometry = make_geometry(interpolation="bicubic")

    array = preprocess(encode(image), geometry, LIMITS)

    assert (array[:, :, 0] == np.asarray(image.resize((28, 28), Image.Resampling.BICUBIC))).all()


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (256, 256)])
def test_shorter_side_keeps_the_aspect_and_crops_the_centre(size: tuple[int, int]) -> None:
    """One resampling of one box gives what resize and then crop give, but for rounding."""
    image = make_image(*size, mode="RGB")
    geometry = make_geometry(mode="RGB", height=96, width=96, resize="shorter_side", resize_px=128)

    array = preprocess(encode(image), geometry, LIMITS)

    scale = 128 / min(size)
    resized = image.resize((round(size[0] * scale), round(size[1] * scale)), Image.Resampling.BILINEAR)
    expected = np.asarray(ImageOps.fit(resized, (96, 96), Image.Resampling.NEAREST, bleed=0, centering=(0.5, 0.5)))
    cropped = np.asarray(resized.crop(_centre(resized.size, 96)))
    assert array.shape == expected.shape
    assert close(array, cropped, 12)


def _centre(size: tuple[int, int], side: int) -> tuple[int, int, int, int]:
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_a_png_becomes_the_models(mode: str) -> None:
    """Bilevel, grey, palette, alpha and 16-bit images give the picture that they show."""
    if mode == "I;16":
        image = Image.fromarray(np.asarray(make_image(64, 64)).astype(np.uint16) * 257)
    else:
        image = make_image(64, 64, "RGB").convert(mode)

    grey = preprocess(encode(image), make_geometry(height=64, width=64), LIMITS)
    colour = preprocess(encode(image), RGB, LIMITS)

    expected = make_image(64, 64) if mode == "I;16" else image.convert("RGB").convert("L")
    assert close(grey[:, :, 0], np.asarray(expected), 1)
    assert colour.shape == (64, 64, 3)
    assert close(colour, np.asarray((expected if mode == "I;16" else image).convert("RGB")), 1)


def test_cmyk_jpegs_are_read() -> None:
    """Print-ready JPEGs come upright in colour, not inverted."""
    image = make_image(64, 64, "RGB")

    array = preprocess(encode(image.convert("CMYK"), "JPEG", quality=95), RGB, LIMITS)

    assert close(array, np.asarray(image), 40)


@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255), (255, 0, 0)])
def test_transparency_shows_the_background(background: tuple[int, int, int]) -> None:
    """Alpha is composed on the colour that the spec names, in RGBA, LA and palette images."""
    clear = Image.new("RGBA", (64, 64), (10, 200, 30, 0))
    palette = Image.new("P", (64, 64), 0)
    palette.putpalette([10, 200, 30])
    geometry = make_geometry(mode="RGB", height=64, width=64, background=background)

    for data in (encode(clear), encode(clear, "WEBP", lossless=True), encode(palette, transparency=0)):
        assert (preprocess(data, geometry, LIMITS) == background).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    """The same picture comes out however the camera was held."""
    upright = make_image(64, 48, "RGB", seed=3)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation → transposition that a camera applied
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    geometry = make_geometry(mode="RGB", height=48, width=64)

    array = preprocess(encode(stored, exif=exif), geometry, LIMITS)

    assert (array == np.asarray(upright)).all()


def test_damaged_exif_is_no_reason_to_refuse() -> None:
    """Good pixels with bad metadata are good pixels."""
    data = encode(make_image(64, 64, "RGB"), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")

    assert preprocess(data, RGB, LIMITS).shape == (64, 64, 3)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_truncated_files_are_refused(file_format: str) -> None:
    """Half an image is never classified."""
    data = encode(make_image(300, 200, "RGB", seed=1), file_format)

    for share in (0.3, 0.5, 0.9):
        with pytest.raises(InvalidImage):
            preprocess(data[: int(len(data) * share)], RGB, LIMITS)


def test_a_truncated_image_has_its_own_code() -> None:
    """It was identified; only its pixels are not whole."""
    data = encode(make_image(300, 200, "RGB", seed=1))

    with pytest.raises(TruncatedImage, match="PNG image is truncated") as refused:
        preprocess(data[:-2000], RGB, LIMITS)

    assert refused.value.code == "truncated"


def test_a_palette_image_without_a_palette_is_refused() -> None:
    """As damage to the name of its chunk makes it; found by the fuzzer."""
    data = encode(make_image(40, 30, "RGB", seed=1).convert("P"))
    start, end = data.index(b"PLTE"), data.index(b"IDAT") - 8
    unknown = b"pLTE" + data[start + 4 : end]

    with pytest.raises(TruncatedImage, match="PNG image has no palette"):
        preprocess(data[:start] + unknown + struct.pack(">I", zlib.crc32(unknown)) + data[end + 4 :], RGB, LIMITS)


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 100, b"<html>", bytes(range(256)), b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"]
)
def test_what_is_no_image_is_unidentified(data: bytes) -> None:
    """Garbage, and a format's first bytes alone."""
    with pytest.raises(InvalidImage) as refused:
        preprocess(data, RGB, LIMITS)

    assert refused.value.code == "unidentified"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"GIF89a......", "GIF"),
        (b"BM......", "BMP"),
        (b"%!PS-Adobe", "EPS"),
        (b"%PDF-1.7", "PDF"),
        (b"8BPS....", "PSD"),
        (b"II*\0....", "TIFF"),
        (b"\0\0\0\x20ftypavif", "AVIF"),
        (b"<svg xmlns=''/>", "SVG"),
    ],
)
def test_other_formats_are_refused_by_name(data: bytes, name: str) -> None:
    """Sniffed, not opened: no plugin beyond the allow-list sees them."""
    with pytest.raises(ImageFormatNotAllowed, match=f"{name}.*accepted are JPEG, PNG, WEBP"):
        open_image(data, RGB, LIMITS)


@pytest.mark.parametrize("file_format", ["BMP", "GIF"])
def test_bmp_and_gif_can_be_allowed(file_format: str) -> None:
    """Of an animated GIF, the first frame."""
    image = make_image(64, 64, "L")
    options = {"save_all": True, "append_images": [make_image(64, 64, seed=9)]} if file_format == "GIF" else {}
    data = encode(image, file_format, **options)

    array = preprocess(data, make_geometry(height=64, width=64), EVERYTHING)

    assert close(array[:, :, 0], np.asarray(image), 2)


@pytest.mark.parametrize(
    "data",
    [
        png_header(9_400, 9_400),
        png_header(65_535, 65_535),
        png_header(1, 60_000),
        webp_header(b"VP8X", b"\0" * 4 + (16_383).to_bytes(3, "little") * 2),
        webp_header(b"VP8L", b"\x2f" + (16_382 | 16_382 << 14).to_bytes(4, "little") + b"\0" * 8),
        webp_header(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + (16_383).to_bytes(2, "little") * 2 + b"\0" * 8),
    ],
)
def test_too_many_pixels_are_known_from_the_header(data: bytes) -> None:
    """A bomb is refused before a pixel of it exists."""
    with pytest.raises(ImageTooLarge, match="exceeds the limit of"):
        open_image(data, RGB, LIMITS)


def test_the_pixel_limit_is_exact() -> None:
    """The limit itself is allowed, one pixel more is not."""
    limits = DecodeLimits(max_pixels=2_800)

    assert preprocess(encode(make_image(100, 28)), make_geometry(), limits).shape == (28, 28, 1)
    with pytest.raises(ImageTooLarge, match=r"101×28 pixels exceeds the limit of 2,800"):
        preprocess(encode(make_image(101, 28)), make_geometry(), limits)


def test_a_large_jpeg_is_allowed_where_it_is_decoded_smaller() -> None:
    """The limit holds for what is decoded: 1/8 scale here, but not for a progressive file or without draft."""
    limits = DecodeLimits(max_pixels=10_000, max_draft_pixels=1_000_000)
    image = make_image(800, 600, "RGB")
    draft, full = (make_geometry(jpeg_draft=on) for on in (True, False))

    assert preprocess(encode(image, "JPEG"), draft, limits).shape == (28, 28, 1)
    for data, geometry in ((encode(image, "JPEG"), full), (encode(image, "JPEG", progressive=True), draft)):
        with pytest.raises(ImageTooLarge):
            open_image(data, geometry, limits)


def test_draft_decoding_covers_the_target() -> None:
    """The scale is the largest of 1, 2, 4, 8 that still leaves enough pixels to sample."""
    assert draft_scale(640, 480, make_geometry(height=224, width=224)) == 2
    assert draft_scale(1_000, 2_000, make_geometry(height=28, width=28)) == 8
    assert draft_scale(200, 200, make_geometry(height=224, width=224)) == 1
    assert draft_scale(640, 480, make_geometry(height=224, width=224, resize="shorter_side", resize_px=256)) == 1


def test_draft_decoding_shows_the_same_picture() -> None:
    """Reduced-scale decoding differs from the full one by no more than the eye would miss."""
    data = encode(make_image(640, 480, "RGB"), "JPEG", quality=95)
    plain = preprocess(data, RGB, LIMITS)

    drafted = preprocess(data, RGB.model_copy(update={"jpeg_draft": True}), LIMITS)

    assert close(plain, drafted, 12)


@pytest.mark.parametrize("size", [(1, 1), (1, 4_000), (4_000, 1)])
def test_extreme_shapes_are_resized(size: tuple[int, int]) -> None:
    """No division by zero, whatever the aspect."""
    cropped = make_geometry(resize="shorter_side", resize_px=32)

    for geometry in (make_geometry(), cropped):
        assert preprocess(encode(make_image(*size)), geometry, LIMITS).shape == (28, 28, 1)


def test_random_damage_is_always_a_model_error() -> None:
    """Whatever Pillow raises on hostile bytes, the caller sees one of ours."""
    rng = np.random.default_rng(0)
    for file_format in ("JPEG", "PNG", "WEBP"):
        original = encode(make_image(64, 64, "RGB"), file_format)
        for _ in range(150):
            data = bytearray(original)
            for position in rng.integers(0, len(data), 3):
                data[position] = rng.integers(0, 256)
            try:
                array = preprocess(bytes(data), RGB, LIMITS)
            except ModelError:
                continue
            assert array.shape == (64, 64, 3)
