"""One figure from the checkpoint to the HTTP answer: the whole test split, through the real server."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models.store import ModelStore
from tests.e2e.server import Server, serving
from tests.factories import REPOSITORY
from training import checkpoint, data, evaluate
from training.config import FitConfig
from training.export import export
from training.fit import fit

pytestmark = pytest.mark.e2e


def classify(server: Server, files: data.Files) -> list[int]:
    """The first class_id of each file over HTTP, several requests at once so that batches form."""
    with server.client() as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda file: client.post("/v1/classify?top_k=1", content=file), files))
    assert {answer.status_code for answer in answers} == {200}
    return [answer.json()["predictions"][0]["class_id"] for answer in answers]


def test_checkpoint_model_file_and_http_agree(tmp_path: Path) -> None:
    """On every image, and so in their top-1."""
    run = fit(FitConfig(epochs=4), tmp_path / "runs")
    store = ModelStore(tmp_path / "store")
    exported = export(run.best, store)
    blueprint, network = checkpoint.load(run.best)
    test = data.load("digits").test

    by_checkpoint = evaluate.answer(evaluate.of_network(network), test.files, blueprint.geometry)
    by_file = evaluate.answer(evaluate.of_model_file(exported.path.read_bytes()), test.files, blueprint.geometry)
    with serving(tmp_path, model_store=store.root) as server:
        by_http = classify(server, test.files)

    assert by_http == by_file.probabilities.argmax(axis=1).tolist() == by_checkpoint.logits.argmax(axis=1).tolist()
    top1 = float(np.mean(np.array(by_http) == test.class_ids))
    assert exported.quality is not None
    assert exported.quality.top1 == pytest.approx(top1)
    assert top1 > 0.5  # four epochs are no training, but not chance either


def test_the_shipped_model_is_as_good_as_it_says(tmp_path: Path) -> None:
    """The figure in its spec is the one that clients get."""
    test = data.load("digits").test
    with serving(tmp_path) as server:
        by_http = classify(server, test.files)
        with server.client() as client:
            quality = client.get("/v1/models/lenet").json()["quality"]

    assert quality["images"] == len(test.files)
    assert quality["top1"] == pytest.approx(float(np.mean(np.array(by_http) == test.class_ids)))
    assert quality["top1"] >= 0.97
    assert ModelStore(REPOSITORY).manifest("lenet", 1).files["model.onnx"].bytes < 300_000
