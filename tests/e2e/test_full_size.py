"""AlexNet and VGG16 as large as in their papers: trained, exported, quantized, judged, served."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import full_size
from models.store import ModelStore
from tests.e2e.server import serving

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3600)]

PARAMETERS = {"alexnet": 46_000_000, "vgg16": 134_000_000}  # of two classes, at least


@pytest.mark.parametrize("net", ["alexnet", "vgg16"])
def test_a_full_size_network_comes_to_an_http_answer(
    net: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """In fp32 and, where the ladder admits it, in int8: over HTTP, what that file answers to the golden images."""
    full_size.make(full_size.STORE, [net])  # as the benchmark left it, or anew
    root = tmp_path / "store"
    root.mkdir()
    (root / net).symlink_to(full_size.STORE / net)
    store = ModelStore(root)
    manifest = store.manifest(net, 1)
    int8 = manifest.ladder["int8"]
    golden = store.read(net, 1).golden

    assert manifest.files["model.onnx"].bytes > 4 * PARAMETERS[net]
    assert int8.admitted == ("model.int8.onnx" in manifest.files) == (int8.reason is None)
    if int8.admitted:
        assert manifest.files["model.int8.onnx"].bytes < 1.1 * manifest.files["model.onnx"].bytes / 4
    settings = {"model_store": root, "max_batch_size": 4, "ready_within_s": 300}  # a batch of 32 takes VGG16 seconds
    with serving(tmp_path, **settings) as server, server.client() as client:
        for precision in [name for name, rung in manifest.ladder.items() if rung.admitted and name != "fp16"]:
            changed = client.post(f"/v1/models/{net}/configure", json={"precision": precision})
            answers = [client.post(f"/v1/classify?model={net}&top_k=1", content=file).json() for file in golden.files]

            assert changed.status_code == 200, changed.text
            assert answers[0]["model"] == {"name": net, "version": 1, "precision": precision}
            found = [answer["predictions"][0] for answer in answers]
            expected = golden.logits[precision].argmax(axis=1)
            assert [answer["label"] for answer in found] == [full_size.CLASSES[class_id] for class_id in expected]
            quality = manifest.ladder[precision].quality
            assert quality is not None
            record_property(f"{precision} test top-1", f"{quality.top1:.2%} of {quality.images}")
            record_property(f"{precision} over HTTP as in the file", f"{len(found)} of {len(golden.files)}")
    record_property("int8", int8.reason or f"agrees on {int8.agreement:.2%}; {int8.method}")
