"""Real networks in a store: built and exported by training, as they are before they have learned anything."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from models.preprocess import DecodeLimits, decode, open_image, preprocess, ten_crop
from models.spec import METADATA_KEY, Geometry, ModelSpec
from models.store import ModelStore
from tests.factories import REPOSITORY
from tests.photos import make_photo_folder
from training import data, network
from training.checkpoint import NETWORK_PREFIX, Blueprint
from training.config import configure
from training.export import export

Floats = npt.NDArray[np.float32]
LIMITS = DecodeLimits()
NAMES = ("lenet", "alexnet", "vgg11")
WIDTH = 0.5  # 22 and 28 MB of weights for images of 67 and 32 pixels


class Network(NamedTuple):
    """What a model file answers without any service: its session and its geometry."""

    session: onnxruntime.InferenceSession
    geometry: Geometry

    def answer(self, file: bytes, output: str, *, crops: int = 1) -> Floats:
        """An output for one image, in a batch of its own; the mean over ten crops if asked for."""
        if crops == 10:
            images = ten_crop(decode(open_image(file, self.geometry, LIMITS), self.geometry), self.geometry)
        else:
            images = preprocess(file, self.geometry, LIMITS)[None]
        rows = [self.session.run([output], {"images": image[None]})[0][0] for image in images]
        mean: Floats = np.mean(rows, axis=0)
        return mean


def make_networks(folder: Path) -> Path:
    """A store with the LeNet that ships, and an AlexNet and a VGG of two classes that give their features."""
    root = folder / "store"
    shutil.copytree(REPOSITORY, root)
    photos = make_photo_folder(folder / "photos", count=30)
    for seed, net in enumerate(NAMES[1:]):
        config = configure(net, f"folder:{photos}", width=WIDTH, seed=seed)
        dataset = data.load(config.dataset, config.data_options)
        torch.manual_seed(seed)
        blueprint = Blueprint(
            net=net,
            options=config.options,
            dataset=config.dataset,
            labels=dataset.labels,
            geometry=dataset.geometry,
            normalisation=network.measure(data.batches(dataset.train.files, dataset.geometry, batch_size=64)),
            seed=seed,
            git_commit=None,
            libraries={},
        )
        weights = {NETWORK_PREFIX + key: value for key, value in blueprint.network().state_dict().items()}
        path = folder / f"{net}.ckpt"
        torch.save({"hyper_parameters": blueprint.model_dump(mode="json"), "state_dict": weights}, path)
        export(path, ModelStore(root), precisions=("fp32",), features=True, dataset=dataset)
    return root


def open_network(root: Path, name: str) -> Network:
    """The first version of a model, by itself."""
    content = ModelStore(root).read(name, 1).data
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    spec: Any = session.get_modelmeta().custom_metadata_map[METADATA_KEY]
    return Network(session, ModelSpec.from_json(spec, name).geometry)
