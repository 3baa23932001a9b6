"""From a checkpoint to a version in the model store: an ONNX file that carries its spec, in one precision or several.

Nothing is written unless ONNX Runtime, given the whole test split, answers as PyTorch does. How the checkpoint was
trained is not known here.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import torch

from models.spec import Geometry, ModelSpec, Precision
from models.store import ModelStore, require_name
from training import calibrate, checkpoint, data, evaluate
from training.errors import ExportRefused
from training.evaluate import Answers, Floats
from training.graphs import add_features
from training.network import Network
from training.precision.ladder import PRECISIONS, Proof, climb
from training.publish import Exported, choose_golden, publish
from training.quiet import quiet

OPSET = 18  # what torch's exporter writes without converting; every runtime in use reads it
TRACED_BATCH = 2  # a batch of 1 would be taken for a constant
ODD_BATCHES = (1, 2, 7)


def export(
    path: Path,
    store: ModelStore,
    name: str | None = None,
    *,
    precisions: Iterable[Precision] = PRECISIONS,
    features: bool = False,
    dataset: data.Dataset | None = None,
) -> Exported:
    """Export the checkpoint at *path* as a new version of model *name*, by default that of its net.

    fp32 is always written, the other *precisions* if the ladder admits them; a checkpoint that is not calibrated yet
    is for this export. With *features*, what the classifier sees is a third output. *dataset* is what it was trained
    on, where that has been loaded already. Raises `InvalidCheckpoint`, `ExportRefused`, or `ModelNotFound` for a name
    that is none; the store is then as it was.
    """
    blueprint, network = checkpoint.load(path)
    name = name or blueprint.net
    require_name(name)
    dataset = dataset or data.load(blueprint.dataset)
    if blueprint.calibration is None:
        calibration = calibrate.measure(blueprint, network, dataset.validation)
        blueprint = blueprint.model_copy(update={"calibration": calibration})
        network.temperature = calibration.temperature
    model = to_onnx(network, blueprint.geometry)
    draft = ModelSpec(
        name=name,
        version=1,
        labels=blueprint.labels,
        geometry=blueprint.geometry,
        normalisation=blueprint.normalisation,
        provenance=blueprint.provenance,
        quality=None,
        profile=None,
        calibration=blueprint.calibration,
        features=add_features(model) if features else None,
    )
    answers = require_parity(network, model.SerializeToString(), dataset.test.files, blueprint.geometry)
    proof = Proof(blueprint.geometry, dataset.train.files, dataset.validation.files, dataset.test)
    ladder = climb(model, answers, proof, precisions)
    return publish(store, draft, ladder, choose_golden(dataset.test, ladder))


def to_onnx(network: Network, geometry: Geometry) -> onnx.ModelProto:
    """Trace a network: `images` uint8 (batch, H, W, C) → `logits` and `probabilities`, float32 (batch, K)."""
    images = torch.zeros(TRACED_BATCH, *geometry.shape, dtype=torch.uint8)
    with quiet():
        program = torch.onnx.export(
            network.eval(),
            (images,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["logits", "probabilities"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        )
    if program is None:
        raise ExportRefused("torch exported nothing")
    model = program.model_proto
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer, graph):
        part.ClearField("metadata_props")  # the exporter's stack traces, with the paths of this machine
        part.ClearField("doc_string")
    return model


def require_parity(network: Network, content: bytes, files: data.Files, geometry: Geometry) -> Answers:
    """Return what the ONNX graph answers to *files*, once it is proved that PyTorch's network answers the same.

    Logits within 1e-4 + 1e-4 · max|logit| and the same class first for every image, in batches of 1, 2 and 7 too;
    raises `ExportRefused`.
    """
    predict = evaluate.of_model_file(content)
    want = evaluate.answer(evaluate.of_network(network), files, geometry).logits
    answers = evaluate.answer(predict, files, geometry)
    _require_same(answers.logits, want, f"{len(files)} test images")
    for size in ODD_BATCHES:
        images = next(data.batches(files, geometry, size))
        _require_same(predict(images).logits, want[:size], f"a batch of {size}")
    return answers


def _require_same(got: Floats, want: Floats, where: str) -> None:
    if not np.isfinite(want).all():
        raise ExportRefused(f"PyTorch's own logits on {where} are not finite")
    bound = 1e-4 + 1e-4 * float(np.abs(want).max())
    worst = float(np.abs(got - want).max())
    if not worst <= bound:  # so that NaN is refused too
        raise ExportRefused(f"ONNX Runtime and PyTorch differ on {where}: logits by {worst:.3g}, more than {bound:.3g}")
    differ = int((got.argmax(axis=1) != want.argmax(axis=1)).sum())
    if differ:
        raise ExportRefused(f"ONNX Runtime and PyTorch differ on {where}: {differ} have another class first")
