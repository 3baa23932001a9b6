"""training/network.py."""

import numpy as np
import pytest
import torch
from torch import nn

from models.spec import Normalisation
from training.errors import InvalidData
from training.network import Network, Normalize, measure

COLOUR = Normalisation(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def test_normalize_is_the_formula_of_the_spec() -> None:
    """`(pixel · scale − mean) / std`, channels first, within single precision."""
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), np.uint8)
    want = (images / 255 - np.array(COLOUR.mean)) / np.array(COLOUR.std)

    got = Normalize(COLOUR)(torch.from_numpy(images))

    assert got.dtype == torch.float32
    np.testing.assert_allclose(got.numpy(), want.transpose(0, 3, 1, 2), atol=1e-6)


def test_normalize_keeps_its_numbers_out_of_the_weights() -> None:
    """The spec has them; a second copy could differ."""
    assert not Normalize(COLOUR).state_dict()


def test_a_network_answers_with_logits_and_their_softmax() -> None:
    """Both (N, K)."""
    network = Network(Normalisation(scale=1, mean=(0,), std=(1,)), nn.Flatten())
    images = torch.tensor([[[[0], [1]]], [[[3], [3]]]], dtype=torch.uint8)  # (2, 1, 2, 1)

    logits, probabilities = network(images)

    assert logits.tolist() == [[0, 1], [3, 3]]
    np.testing.assert_allclose(probabilities.numpy(), [[1 / (1 + np.e), np.e / (1 + np.e)], [0.5, 0.5]], rtol=1e-6)


def test_measured_images_have_mean_0_and_deviation_1() -> None:
    """Per channel, over all images, in batches or one by one."""
    images = np.random.default_rng(1).integers((0, 100, 50), (256, 200, 60), (9, 6, 5, 3), np.uint8)

    normalisation = measure([images[:4], images[4:]])

    assert normalisation == measure(images)
    pixels = Normalize(normalisation)(torch.from_numpy(images)).double()
    np.testing.assert_allclose(pixels.mean(dim=(0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(pixels.std(dim=(0, 2, 3), correction=0), 1, atol=1e-4)


def test_images_without_contrast_are_refused() -> None:
    """The channel that is the same everywhere is named; so is having no images."""
    flat = np.random.default_rng(0).integers(0, 256, (4, 4, 2), np.uint8)
    flat[..., 1] = 200

    with pytest.raises(InvalidData, match="channel 1 has the same value"):
        measure([flat])
    with pytest.raises(InvalidData, match="no images"):
        measure([])
