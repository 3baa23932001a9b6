"""training/data.py."""

import io
import random

import numpy as np
import pytest
from PIL import Image

from models.preprocess import DecodeLimits, preprocess
from models.spec import Geometry
from training import data
from training.errors import UnknownName


def test_digits_are_real_scans_kept_as_files() -> None:
    """1,797 grey PNG files of 8×8, ink white on black, over the full range of a byte."""
    digits = data.load("digits")
    files = [*digits.train.files, *digits.validation.files, *digits.test.files]
    images = [Image.open(io.BytesIO(file)) for file in files]

    assert len(files) == 1797
    assert {(image.format, image.mode, image.size) for image in images} == {("PNG", "L", (8, 8))}
    pixels = np.stack([np.asarray(image) for image in images])
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert pixels[:, 0, 0].mean() < 10
    assert digits.labels == tuple("0123456789")


def test_the_split_is_70_10_20_and_stratified() -> None:
    """Each class has its share of each part, to the image."""
    digits = data.load("digits")
    parts = [digits.train, digits.validation, digits.test]

    assert [len(part.files) for part in parts] == [1257, 180, 360]
    everything = np.bincount(np.concatenate([part.class_ids for part in parts]), minlength=10)
    for part in parts:
        expected = everything * len(part.files) / 1797
        assert np.abs(np.bincount(part.class_ids, minlength=10) - expected).max() <= 1


def test_the_split_is_disjoint_and_the_same_every_time() -> None:
    """Every index is in exactly one part, and a second call gives the same parts."""
    class_ids = np.arange(200) % 4
    parts = data.stratified(class_ids)

    assert sorted(np.concatenate(parts).tolist()) == list(range(200))
    for part, again in zip(parts, data.stratified(class_ids), strict=True):
        np.testing.assert_array_equal(part, again)
    assert not np.array_equal(parts[2], data.stratified(class_ids, seed=1)[2])


def test_evaluation_sees_what_the_service_makes() -> None:
    """The arrays of training's evaluation and of models/preprocess.py are equal, bit for bit, on the test split."""
    digits = data.load("digits")
    served = [preprocess(file, digits.geometry, DecodeLimits()) for file in digits.test.files]
    images = data.Images(digits.test, digits.geometry)

    assert len(images) == 360
    for index, want in enumerate(served):
        array, class_id = images[index]
        np.testing.assert_array_equal(array.numpy(), want, strict=True)
        assert class_id == digits.test.class_ids[index]
    np.testing.assert_array_equal(np.concatenate(list(data.batches(digits.test.files, digits.geometry, 64))), served)


def test_batches_keep_the_order_and_the_rest() -> None:
    """The last batch is as small as it has to be."""
    digits = data.load("digits")

    shapes = [batch.shape for batch in data.batches(digits.test.files[:10], digits.geometry, 4)]

    assert shapes == [(4, 28, 28, 1), (4, 28, 28, 1), (2, 28, 28, 1)]


def test_augmentation_comes_between_decoding_and_geometry() -> None:
    """It gets the decoded picture, and its result is what is fitted."""
    digits = data.load("digits")
    sizes: list[tuple[int, int]] = []

    def blacken(image: Image.Image, _rng: random.Random) -> Image.Image:
        sizes.append(image.size)
        return Image.new("L", (5, 5))

    array, _ = data.Images(digits.train, Geometry(mode="L", height=4, width=6), blacken)[0]

    assert sizes == [(8, 8)]
    assert array.shape == (4, 6, 1)
    assert not array.any()


def test_an_unknown_data_set_is_refused_with_the_known_ones() -> None:
    """The message says what there is."""
    with pytest.raises(UnknownName, match=r"no data set 'digit'; there are: .*digits"):
        data.load("digit")
