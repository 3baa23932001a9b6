"""A stream of images that are not what the model was tested on is seen on /metrics, and its own test split is not."""

import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.server import Server, serving
from tests.factories import encode
from training import data

pytestmark = pytest.mark.e2e
THRESHOLD = 0.25  # of the alert


def drift_after(server: Server, files: Sequence[bytes]) -> dict[str, float]:
    """Send all of *files*, twice; return the index of classes and of confidence."""
    with server.client() as client, ThreadPoolExecutor(4) as pool:
        statuses = set(pool.map(lambda file: client.post("/v1/classify", content=file).status_code, [*files, *files]))
        assert statuses == {200}
        for _ in range(100):  # the last images are worked out within a second
            families = {f.name: f for f in text_string_to_metric_families(client.get("/metrics").text)}
            seen = sum(s.value for s in families["classifier_confidence"].samples if s.name.endswith("_count"))
            if seen == 2 * len(files):
                return {s.labels["kind"]: s.value for s in families["classifier_drift_psi"].samples}
            time.sleep(0.1)
    raise AssertionError(f"{seen} of {2 * len(files)} images worked out")


def shuffled() -> list[bytes]:
    """The test split in random order."""
    files = data.load("digits").test.files
    return [files[i] for i in np.random.default_rng(0).permutation(len(files))]


def test_the_test_split_in_random_order_does_not_drift(tmp_path: Path) -> None:
    """Far below the threshold, in both, and with two workers that each see a part."""
    with serving(tmp_path, workers=2) as server:
        found = drift_after(server, shuffled())

    assert set(found) == {"classes", "confidence"}
    assert max(found.values()) < THRESHOLD / 2


def inverted(file: bytes) -> bytes:
    """Black on white, where the model knows white on black."""
    return encode(ImageOps.invert(Image.open(io.BytesIO(file)).convert("L")))


def noisy(file: bytes) -> bytes:
    """As from a camera in the dark."""
    pixels = np.asarray(Image.open(io.BytesIO(file)).convert("L"), np.float64)
    noise = np.random.default_rng(len(file)).normal(0, 120, pixels.shape)
    return encode(Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8)))


@pytest.mark.parametrize("change", [inverted, noisy])
def test_changed_images_drift(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    """Above the threshold, in both."""
    with serving(tmp_path, workers=2) as server:
        found = drift_after(server, [change(file) for file in shuffled()])

    assert min(found.values()) > THRESHOLD
