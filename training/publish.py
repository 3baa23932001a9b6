"""The last step of export and import: measured graphs become a version in the model store, each with its own spec.

How the graphs came about is not known here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.golden import GOLDEN_IMAGES, Golden
from models.spec import Calibration, ModelSpec, Precision, Quality
from models.store import GOLDEN, PRECISION_FILES, ModelStore, Rung
from training import data, evaluate
from training.evaluate import Floats
from training.graphs import with_spec
from training.precision.ladder import Candidate


@dataclass(frozen=True, slots=True)
class Exported:
    """A version that was put into the store; the quality is that of its fp32 file, None if it was not measured."""

    name: str
    version: int
    path: Path
    size_bytes: int
    quality: Quality | None
    ladder: Mapping[Precision, Rung]


def publish(store: ModelStore, draft: ModelSpec, ladder: Mapping[Precision, Candidate], golden: Golden) -> Exported:
    """Put what *ladder* admits into the store, with the spec that *draft* begins, and *golden* beside it.

    Raises `ModelNotFound` for a name that is none; the store is then as it was.
    """
    rungs = {precision: candidate.rung for precision, candidate in ladder.items()}
    sizes = {}
    with store.put(draft.name, dict(rungs)) as (folder, version):
        for precision, candidate in ladder.items():
            if candidate.model is None or not candidate.rung.admitted:
                continue
            quality, answers = candidate.rung.quality, candidate.answers
            spec = draft.model_copy(
                update={
                    "version": version,
                    "precision": precision,
                    "quality": quality,
                    "calibration": _calibration(draft, candidate),
                    "profile": evaluate.profile(answers.probabilities) if quality and answers else None,
                }
            )
            content = with_spec(candidate.model, spec)
            sizes[precision] = len(content)
            (folder / PRECISION_FILES[precision]).write_bytes(content)
        (folder / GOLDEN).write_bytes(golden.to_bytes())
    path = store.root / draft.name / str(version) / PRECISION_FILES["fp32"]
    return Exported(draft.name, version, path, sizes["fp32"], rungs["fp32"].quality, rungs)


def _calibration(draft: ModelSpec, candidate: Candidate) -> Calibration | None:
    """Return what was fitted, or that it was not put into this graph, and why."""
    fitted = draft.calibration
    if fitted is None or candidate.uncalibrated is None:
        return fitted
    return fitted.model_copy(
        update={"temperature": 1.0, "ece_after": fitted.ece_before, "reason": candidate.uncalibrated}
    )


def choose_golden(test: data.Split, ladder: Mapping[Precision, Candidate]) -> Golden:
    """Pick test images from the classes in turn: the first of each class, then the second of each, and so on."""
    seen: dict[int, int] = {}
    turns: list[tuple[int, int, int]] = []
    for index, class_id in enumerate(test.class_ids.tolist()):
        turns.append((seen.get(class_id, 0), class_id, index))
        seen[class_id] = seen.get(class_id, 0) + 1
    chosen = [index for _, _, index in sorted(turns)[:GOLDEN_IMAGES]]
    logits: dict[str, Floats] = {
        precision: candidate.answers.logits[chosen]
        for precision, candidate in ladder.items()
        if candidate.answers is not None and candidate.rung.admitted
    }
    return Golden(tuple(test.files[index] for index in chosen), logits["fp32"].argmax(axis=1), logits)
