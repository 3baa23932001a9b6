"""The two faces of a served model: NAME takes prepared images as a tensor, NAME-image takes image files.

A face is what the Open Inference Protocol calls a model. Both lead to the same session through the same queue.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from models.spec import IMAGE_SUFFIX
from service.catalog import Catalog, ServedModel
from service.errors import NotReady, UnknownModel, quoted
from service.oip.request import Signature
from service.oip.tensors import BATCH, TensorSpec

PLATFORM: Final = "onnxruntime_onnx"
IMAGE_PLATFORM: Final = "convserve_image_onnx"  # decoding and geometry before the same network
_VERSION_DIGITS: Final = 9


@dataclass(frozen=True, slots=True)
class Face:
    """One face of one version of a model; `name` is what its clients call it."""

    name: str
    model: ServedModel
    signature: Signature

    @property
    def takes_files(self) -> bool:
        """Whether this is the face that takes image files."""
        return self.signature.input.datatype == "BYTES"

    def describe(self, versions: list[int]) -> dict[str, Any]:
        """Return the model metadata of the protocol."""
        return {
            "name": self.name,
            "versions": [str(version) for version in versions],
            "platform": IMAGE_PLATFORM if self.takes_files else PLATFORM,
            "inputs": [_described(self.signature.input)],
            "outputs": [_described(spec) for spec in self.signature.outputs],
        }


class Faces:
    """Finds faces in a catalog."""

    def __init__(self, catalog: Catalog, max_images: int) -> None:
        self._catalog = catalog
        self._max_images = max_images

    def routed(self, name: str, version: str | None, client: bytes | None) -> Face:
        """Return the face that an inference request means; a canary may take it when no version is named.

        Raises `NotReady` or `UnknownModel`.
        """
        base = name.removesuffix(IMAGE_SUFFIX)
        number = None if version is None else _number(base, version)
        try:
            return self._face(name, self._catalog.find(base, number, client=client))
        except UnknownModel:
            self._explain(base, number)
            raise

    def named(self, name: str, version: str | None = None) -> Face:
        """Return the face of a version, of the active one when none is named; raises as `routed` does."""
        lineup = self._catalog.lineups.get(name.removesuffix(IMAGE_SUFFIX))
        if version is None and lineup is not None:
            return self._face(name, lineup.active)
        return self.routed(name, version, None)

    def versions(self, name: str) -> list[int]:
        """Return the versions that are served under a name."""
        return sorted({version for version, _ in self._catalog.lineups[name.removesuffix(IMAGE_SUFFIX)].versions})

    def all(self) -> Iterator[Face]:
        """Yield both faces of every version that is served."""
        for name in self._catalog.lineups:
            for version in self.versions(name):
                model = self._catalog.find(name, version)
                yield self._face(name, model)
                yield self._face(name + IMAGE_SUFFIX, model)

    def _face(self, name: str, model: ServedModel) -> Face:
        shape, classes = model.spec.geometry.shape, len(model.spec.labels)
        return Face(name, model, _signature(shape, classes, self._max_images, files=name.endswith(IMAGE_SUFFIX)))

    def _explain(self, name: str, version: int | None) -> None:
        """Raise `NotReady` when what is not served should be."""
        for state in self._catalog.index([name]):
            if state.state != "READY" and version in (None, state.version):
                raise NotReady(f"{name} version {state.version} is {state.state}: {state.reason}", retry_after_s=1)


@lru_cache(maxsize=256)
def _signature(shape: tuple[int, int, int], classes: int, max_images: int, *, files: bool) -> Signature:
    outputs = tuple(TensorSpec(name, "FP32", (BATCH, classes)) for name in ("logits", "probabilities"))
    images = TensorSpec("image", "BYTES", (BATCH,)) if files else TensorSpec("images", "UINT8", (BATCH, *shape))
    return Signature(images, outputs, classes, max_images)


def _number(name: str, version: str) -> int:
    if not (version.isascii() and version.isdecimal() and len(version) <= _VERSION_DIGITS):
        raise UnknownModel(f"{name}: no version {quoted(version)}; versions are whole numbers")
    return int(version)


def _described(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
