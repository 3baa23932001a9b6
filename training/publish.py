"""The last step of export and import: measured graphs become a version in the model store, each with its own spec.

How the graphs came about is not known here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.golden import Golden
from models.spec import ModelSpec, Precision, Quality
from models.store import GOLDEN, PRECISION_FILES, ModelStore, Rung
from training import evaluate
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
                    "profile": evaluate.profile(answers.probabilities) if quality and answers else None,
                }
            )
            content = with_spec(candidate.model, spec)
            sizes[precision] = len(content)
            (folder / PRECISION_FILES[precision]).write_bytes(content)
        (folder / GOLDEN).write_bytes(golden.to_bytes())
    path = store.root / draft.name / str(version) / PRECISION_FILES["fp32"]
    return Exported(draft.name, version, path, sizes["fp32"], rungs["fp32"].quality, rungs)
