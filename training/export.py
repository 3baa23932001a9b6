"""From a checkpoint to a version in the model store: one ONNX file that carries its spec, and golden images beside it.

Nothing is written unless ONNX Runtime, given the whole test split, answers as PyTorch does. How the checkpoint was
trained is not known here.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch

from models.golden import GOLDEN_IMAGES, Golden
from models.spec import METADATA_KEY, Geometry, ModelSpec, Quality
from models.store import GOLDEN, PRECISION_FILES, ModelStore, Rung
from training import checkpoint, data, evaluate
from training.errors import ExportRefused
from training.evaluate import Answers, Floats
from training.network import Network
from training.quiet import quiet

OPSET = 18  # what torch's exporter writes without converting; every runtime in use reads it
TRACED_BATCH = 2  # a batch of 1 would be taken for a constant
ODD_BATCHES = (1, 2, 7)


@dataclass(frozen=True, slots=True)
class Exported:
    """A version that was put into the store; the quality is that of the model file on the test split."""

    name: str
    version: int
    path: Path
    size_bytes: int
    quality: Quality


def export(path: Path, store: ModelStore, name: str | None = None) -> Exported:
    """Export the checkpoint at *path* as a new version of model *name*, by default that of its net.

    Raises `InvalidCheckpoint`, `ExportRefused`, or `ModelNotFound` for a name that is none; the store is then as it
    was.
    """
    blueprint, network = checkpoint.load(path)
    name = name or blueprint.net
    test = data.load(blueprint.dataset).test
    graph = to_onnx(network, blueprint.geometry)
    answers = require_parity(network, graph.SerializeToString(), test.files, blueprint.geometry)
    quality = evaluate.quality(answers.probabilities, test.class_ids)
    golden = choose_golden(test, answers.logits)
    with store.put(name, {"fp32": Rung(admitted=True, quality=quality)}) as (folder, version):
        spec = ModelSpec(
            name=name,
            version=version,
            labels=blueprint.labels,
            geometry=blueprint.geometry,
            normalisation=blueprint.normalisation,
            provenance=blueprint.provenance,
            quality=quality,
            profile=evaluate.profile(answers.probabilities),
        )
        content = with_spec(graph, spec)
        (folder / PRECISION_FILES["fp32"]).write_bytes(content)
        (folder / GOLDEN).write_bytes(golden.to_bytes())
    return Exported(name, version, store.root / name / str(version) / PRECISION_FILES["fp32"], len(content), quality)


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


def with_spec(graph: onnx.ModelProto, spec: ModelSpec) -> bytes:
    """Return the model file: *graph*, checked, with *spec* in its metadata."""
    model = onnx.ModelProto()
    model.CopyFrom(graph)
    onnx.helper.set_model_props(model, {METADATA_KEY: spec.model_dump_json()})
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


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


def choose_golden(test: data.Split, logits: Floats) -> Golden:
    """Pick test images from the classes in turn: the first of each class, then the second of each, and so on."""
    seen: dict[int, int] = {}
    turns: list[tuple[int, int, int]] = []
    for index, class_id in enumerate(test.class_ids.tolist()):
        turns.append((seen.get(class_id, 0), class_id, index))
        seen[class_id] = seen.get(class_id, 0) + 1
    chosen = [index for _, _, index in sorted(turns)[:GOLDEN_IMAGES]]
    answers = logits[chosen]
    return Golden(tuple(test.files[index] for index in chosen), answers.argmax(axis=1), {"fp32": answers})


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
