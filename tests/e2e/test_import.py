"""Somebody else's ONNX file, imported and served."""

from pathlib import Path

import pytest

from models.store import ModelStore
from tests.e2e.server import serving
from tests.training.importing.foreign import LABELS, make_foreign, make_wishes
from training.importing import samples
from training.importing.importer import import_
from training.importing.original import read

pytestmark = pytest.mark.e2e


def test_an_imported_model_answers_over_http(tmp_path: Path) -> None:
    """What the model file answers; that nobody has measured its quality is said."""
    store = ModelStore(tmp_path / "store")
    path = make_foreign(tmp_path / "x.onnx", layout="nhwc", batch=1, ends=("Softmax",))
    import_(read(path), store, make_wishes(), samples.bundled(3))
    golden = store.read("foreign", 1).golden

    with serving(tmp_path, model_store=store.root) as server, server.client() as client:
        answers = [client.post("/v1/classify?top_k=1", content=file).json() for file in golden.files]
        about = client.get("/v1/models/foreign").json()

    first = [answer["predictions"][0]["label"] for answer in answers]
    assert first == [LABELS[class_id] for class_id in golden.class_ids.tolist()]
    assert about["quality"] is None
    assert about["spec"]["provenance"]["source"]["file"] == "x.onnx"
    assert about["labels"] == list(LABELS)
