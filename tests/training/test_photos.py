"""A colour net on a folder of photographs, from the files to the model in the store; too short to learn much."""

from pathlib import Path

import onnx
import pytest

from models.spec import METADATA_KEY, ModelSpec
from models.store import ModelStore
from tests.photos import make_photo_folder
from training import checkpoint, data
from training.config import configure
from training.config.options import NetOptions
from training.export import export
from training.fit import Run, fit


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty patches."""
    return make_photo_folder(tmp_path_factory.mktemp("data") / "photos", 48, count=20)


@pytest.fixture(scope="module")
def colour_run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One epoch of a narrow VGG with batch normalisation."""
    config = configure("vgg11", f"folder:{photos}", epochs=1, size=32, width=0.1, batch_norm=True, init="xavier")
    return fit(config, tmp_path_factory.mktemp("runs"))


def test_a_checkpoint_keeps_the_options_of_its_net(colour_run: Run) -> None:
    """And is rebuilt with them."""
    blueprint, network = checkpoint.load(colour_run.best)

    assert blueprint.options == NetOptions(width=0.1, batch_norm=True, init="xavier")
    assert "net.body.norm1_1.weight" in network.state_dict()
    assert blueprint.geometry.shape == (32, 32, 3)


def test_a_checkpoint_finds_its_photographs_again(colour_run: Run, photos: Path) -> None:
    """With the same ones to test on."""
    blueprint, _ = checkpoint.load(colour_run.best)

    again = data.load(blueprint.dataset).test

    assert list(again.files) == list(data.load(f"folder:{photos}").test.files)


def test_labels_are_the_folders_and_no_path_leaves_the_machine(colour_run: Run, photos: Path, tmp_path: Path) -> None:
    """The model file has the name of the data set, not its place."""
    store = ModelStore(tmp_path)

    exported = export(colour_run.best, store, "pictures", precisions=())

    content = exported.path.read_bytes()
    (entry,) = onnx.load_from_string(content).metadata_props
    spec = ModelSpec.from_json(entry.value, "model")
    assert entry.key == METADATA_KEY
    assert spec.labels == ("china", "flower")
    assert (spec.provenance.dataset, spec.geometry.mode, spec.geometry.resize_px) == ("photos", "RGB", 37)
    assert str(photos.parent).encode() not in content
