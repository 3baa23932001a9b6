"""What can be wrong with the models of a store: each precision of each version is read, loaded and run on a CPU."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from models.errors import InvalidSpec, ModelError, ModelNotFound
from models.store import MANIFEST, ModelStore, Precision
from service import lifecycle, session
from service.doctor.finding import Finding
from service.rollout import first
from service.settings import Settings

Floats = npt.NDArray[np.float32]
_CLOSE = 1e-4  # probabilities of one network on the same machine


def models(settings: Settings) -> Iterator[Finding]:
    """Look at every version of every model in the store."""
    store = first.open_store(settings)
    try:
        names = store.names()
    except ModelError as error:
        yield Finding("model store", str(error), "CONVSERVE_MODEL_STORE names the folder of NAME/VERSION folders")
        return
    yield from _leftovers(store)
    for name in names:
        for version in store.versions(name):
            try:
                ladder = store.manifest(name, version).ladder
            except ModelError as error:
                yield Finding(f"{name}/{version}", str(error), "copy the version again, whole, or export it anew")
                continue
            for precision, rung in ladder.items():
                if rung.admitted:
                    yield from _version(store, name, version, precision)


def _leftovers(store: ModelStore) -> Iterator[Finding]:
    """Look for folders that look like versions and aren't: copied in part, or by hand."""
    for folder in sorted(store.root.glob("*/[0-9]*")):
        if folder.is_dir() and not (folder / MANIFEST).is_file():
            yield Finding(
                f"{folder.parent.name}/{folder.name}",
                f"{folder} has no {MANIFEST}: it is not served",
                "finish copying it, with the manifest last; or remove it",
            )


def _version(store: ModelStore, name: str, version: int, precision: Precision) -> Iterator[Finding]:
    where = f"{name}/{version} {precision}"
    try:
        file = store.read(name, version, precision)
        loaded = session.load(file, "cpu", 1)
        images = lifecycle.golden_images(loaded, file)
        fault = lifecycle.unproved(loaded, file, images)
        outputs = loaded.run(images)
    except ModelError as error:
        yield Finding(where, str(error), _advice(error))
        return
    if fault is not None:
        yield Finding(
            where, f"fails its golden images: {fault}", "the file is not the one that was exported; do that anew"
        )
    calibration = loaded.spec.calibration
    temperature = 1.0 if calibration is None else calibration.temperature
    if doubt := suspicion(outputs.logits, outputs.probabilities, temperature):
        yield Finding(where, *doubt)


def suspicion(logits: Floats, probabilities: Floats, temperature: float = 1.0) -> tuple[str, str] | None:
    """Return what is odd about how *probabilities* (N, K) follow from *logits* (N, K), and what to do about it."""
    once = softmax(logits / temperature)
    if _agree(probabilities, softmax(once)) and not _agree(probabilities, once):
        return (
            "its probabilities are the softmax of a softmax: flatter than they should be, never near 1",
            "take the softmax out of the network; the export adds it",
        )
    if (logits >= 0).all() and np.allclose(logits.sum(axis=1), 1, atol=_CLOSE):
        return (
            "its logits add up to 1 in each row: they are probabilities already, and softmax is applied once more",
            "take the softmax out of the network; the export adds it",
        )
    if not _agree(probabilities, once):
        return (
            f"its probabilities are not the softmax of its logits, at the temperature {temperature:g} of its spec",
            "export it anew",
        )
    return None


def softmax(values: Floats) -> Floats:
    """Return the softmax of each row."""
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    result: Floats = raised / raised.sum(axis=1, keepdims=True)
    return result


def _agree(left: Floats, right: Floats) -> bool:
    return bool(np.abs(left - right).max() < _CLOSE)


def _advice(error: ModelError) -> str:
    text = str(error)
    if "frozen batch" in text:
        return "it takes only that many images at once: export it with a dynamic first axis"
    if "labels" in text:
        return "the labels of another model, or of another training: export it with its own"
    if isinstance(error, InvalidSpec):
        return "export it with python -m training export, which writes the spec"
    if isinstance(error, ModelNotFound):
        return "make the precision, or take it out of the manifest"
    return "copy the version again, whole, or export it anew"
