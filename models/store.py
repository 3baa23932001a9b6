"""The model store: `<root>/<name>/<version>/{model.onnx, golden.npz, manifest.json}` on a local path.

Versions are positive integers that `put` allocates; a version appears whole or not at all and never changes after.
A folder that is itself one model, or one version of it, can be read as well: that is how model servers get theirs
mounted. It may be served under another name than the one in its files.
Files are read once, checked against the manifest's SHA-256, and handed on as bytes, so that what was checked is what
is loaded. What is inside an ONNX file is not known here.
"""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import InvalidModelFile, ModelNotFound
from models.golden import Golden
from models.spec import IMAGE_SUFFIX, NAME_PATTERN, Quality, Share, first_fault
from models.spec import Precision as Precision  # noqa: PLC0414 - the store speaks of it to its readers

MANIFEST = "manifest.json"
GOLDEN = "golden.npz"
PRECISION_FILES: dict[Precision, str] = {"fp32": "model.onnx", "fp16": "model.fp16.onnx", "int8": "model.int8.onnx"}
Stamp = tuple[tuple[str, int, int], ...]  # name, size and time of each file of a version


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileDigest(_Frozen):
    """Size and SHA-256 of one file of a version; ONNX files end at two gigabytes, and are read into memory."""

    bytes: Annotated[int, Field(ge=0, le=2**31)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Rung(_Frozen):
    """One precision of the ladder: admitted, or refused with the reason, with what was measured of it.

    `agreement` is the share of test images that it gives the same first class as fp32 does; `method` is how it was
    made, where there was a choice.
    """

    admitted: bool
    quality: Quality | None = None
    agreement: Share | None = None
    reason: str | None = None
    method: str | None = None


class Manifest(_Frozen):
    """What a version consists of; written last, so that a folder without one is not a version."""

    manifest_version: Literal[1] = 1
    name: str
    version: int
    files: dict[str, FileDigest]
    ladder: dict[Precision, Rung]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The verified content of one precision of one version."""

    name: str
    version: int
    precision: Precision
    path: Path
    data: bytes
    sha256: str
    golden: Golden
    served_name: str | None = None  # where it is not to be served under its own


class ModelStore:
    """A folder of models. Reading needs no lock; `put` holds one per model name.

    *served_name* is for a root that is one model or one version: the name that it goes by here.
    """

    def __init__(self, root: Path, served_name: str | None = None) -> None:
        self.root = root
        self.served_name = served_name

    def names(self) -> list[str]:
        """Return the names of all models that have a version, sorted."""
        if not self.root.is_dir():
            raise ModelNotFound(f"model store {self.root}: no such folder")
        if single := self._single():
            return [self._single_name(single)]
        if self.served_name is not None:
            raise ModelNotFound(f"model store {self.root}: a served name is for a folder that is one model, not many")
        return sorted(path.name for path in self.root.iterdir() if _is_name(path.name) and self.versions(path.name))

    def versions(self, name: str) -> list[int]:
        """Return the complete versions of a model, ascending; empty if there is no such model."""
        return sorted(self._folders(name))

    def manifest(self, name: str, version: int) -> Manifest:
        """Read a version's manifest; raises `ModelNotFound` or `InvalidModelFile`."""
        path = self._folder(name, version) / MANIFEST
        manifest = _read_manifest(path)
        own_name = manifest.name if self.served_name is not None else name
        if (manifest.name, manifest.version) != (own_name, version):
            raise InvalidModelFile(f"{path}: speaks of {manifest.name} version {manifest.version}")
        return manifest

    def read(self, name: str, version: int, precision: Precision = "fp32") -> ModelFile:
        """Read and verify one precision of a version and its golden images.

        Raises `ModelNotFound`, or `InvalidModelFile` that names the file and what is wrong with it.
        """
        manifest = self.manifest(name, version)
        rung = manifest.ladder.get(precision)
        if rung is None or not rung.admitted:
            reason = rung.reason if rung is not None and rung.reason else "it was not made"
            raise ModelNotFound(f"model {name!r} version {version} has no {precision}: {reason}")
        folder = self._folder(name, version)
        path = folder / PRECISION_FILES[precision]
        data = _read_verified(path, manifest)
        golden = Golden.from_bytes(_read_verified(folder / GOLDEN, manifest), str(folder / GOLDEN))
        sha256 = manifest.files[path.name].sha256
        return ModelFile(manifest.name, version, precision, path, data, sha256, golden, self.served_name)

    def stamp(self, name: str, version: int) -> Stamp:
        """Return what changes whenever a file of a version does; empty if it is not there."""
        folder = self._folders(name).get(version)
        return () if folder is None else _stamp(folder)

    def stamps(self) -> dict[tuple[str, int], Stamp]:
        """Return the stamp of every version of every model; raises `ModelNotFound` if there is no such folder."""
        return {
            (name, version): _stamp(folder) for name in self.names() for version, folder in self._folders(name).items()
        }

    def _single(self) -> dict[int, Path]:
        """Return the folders of the versions if the root is one model or one version, else nothing."""
        if (self.root / MANIFEST).is_file():
            return {_read_manifest(self.root / MANIFEST).version: self.root}
        return _complete(self.root)

    def _single_name(self, folders: dict[int, Path]) -> str:
        return self.served_name or _read_manifest(folders[max(folders)] / MANIFEST).name

    def _folders(self, name: str) -> dict[int, Path]:
        """Return the folder of each complete version of a model."""
        if single := self._single():
            return single if self._single_name(single) == name else {}
        return _complete(self.root / name) if _is_name(name) else {}

    def _folder(self, name: str, version: int) -> Path:
        folder = self._folders(name).get(version)
        if folder is None:
            raise ModelNotFound(f"model {name!r} has no version {version} in {self.root}")
        return folder

    @contextmanager
    def put(self, name: str, ladder: dict[Precision, Rung]) -> Iterator[tuple[Path, int]]:
        """Add a version: yields (an empty folder to write the files into, the version number that they will have).

        *ladder* is read when the block ends. If the block raises, nothing remains; else the version appears at once.
        """
        require_name(name)
        home = self.root / name
        home.mkdir(parents=True, exist_ok=True)
        with _locked(home):
            version = max(_numbers(home), default=0) + 1
            staging = Path(tempfile.mkdtemp(prefix=".put-", dir=home))
            try:
                yield staging, version
                files = {path.name: _digest(path.read_bytes()) for path in sorted(staging.iterdir())}
                manifest = Manifest(name=name, version=version, files=files, ladder=ladder)
                _require_files(manifest)
                _write_synced(staging / MANIFEST, (manifest.model_dump_json(indent=2) + "\n").encode())
                staging.chmod(0o755)
                staging.rename(home / str(version))
            finally:
                shutil.rmtree(staging, ignore_errors=True)


def require_name(name: str) -> None:
    """Raise `ModelNotFound` for what cannot be the name of a model."""
    if not _is_name(name):
        raise ModelNotFound(f"{name!r} is no model name: {NAME_PATTERN}, not ending in {IMAGE_SUFFIX}")


def _is_name(name: str) -> bool:
    return re.fullmatch(NAME_PATTERN, name) is not None and not name.endswith(IMAGE_SUFFIX)


def _numbers(home: Path) -> list[int]:
    """Return the numbers of all version folders, complete or not, ascending."""
    if not home.is_dir():
        return []
    return sorted(int(path.name) for path in home.iterdir() if re.fullmatch(r"[1-9][0-9]{0,8}", path.name))


def _complete(home: Path) -> dict[int, Path]:
    """Return the version folders that have a manifest, which is written last."""
    folders = {number: home / str(number) for number in _numbers(home)}
    return {number: folder for number, folder in folders.items() if (folder / MANIFEST).is_file()}


def _stamp(folder: Path) -> Stamp:
    try:
        with os.scandir(folder) as entries:
            status = [(entry.name, entry.stat()) for entry in entries]
    except OSError:
        return ()
    return tuple(sorted((name, one.st_size, one.st_mtime_ns) for name, one in status))


def _read_manifest(path: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidModelFile(f"{path}: invalid manifest: {first_fault(error)}") from error
    except OSError as error:
        raise InvalidModelFile(f"{path}: {error.strerror}") from error


def _digest(data: bytes) -> FileDigest:
    return FileDigest(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def _read_verified(path: Path, manifest: Manifest) -> bytes:
    want = manifest.files.get(path.name)
    if want is None:
        raise InvalidModelFile(f"{path}: not in the manifest")
    try:
        size = path.stat().st_size  # first: what is still being copied is not read in vain
        data = path.read_bytes() if size == want.bytes else b""
    except OSError as error:
        raise InvalidModelFile(f"{path}: {error.strerror}") from error
    if size != want.bytes or len(data) != want.bytes:
        raise InvalidModelFile(f"{path}: {size} bytes, but the manifest says {want.bytes}")
    if hashlib.sha256(data).hexdigest() != want.sha256:
        raise InvalidModelFile(f"{path}: SHA-256 differs from the manifest's")
    return data


def _require_files(manifest: Manifest) -> None:
    needed = [PRECISION_FILES[precision] for precision, rung in manifest.ladder.items() if rung.admitted] + [GOLDEN]
    missing = [name for name in needed if name not in manifest.files]
    if missing:
        raise InvalidModelFile(f"model {manifest.name!r} is incomplete: {', '.join(missing)} not written")


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
