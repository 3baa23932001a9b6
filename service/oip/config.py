"""The model configuration extension: a served model in the words of Triton's ModelConfig.

Source: Triton's extension_model_configuration.md and model_config.proto. `dims` leave out the number of images, which
`max_batch_size` limits: how many a request may hold, not how many run at once.
"""

from typing import Any

from service.oip.faces import IMAGE_PLATFORM, PLATFORM, Face
from service.oip.tensors import TensorSpec
from service.settings import Settings


def describe(face: Face, versions: list[int], settings: Settings) -> dict[str, Any]:
    """Return the configuration of a face."""
    placement, batcher = face.model.loaded.session.placement, face.model.batcher
    device = "KIND_CPU" if placement.provider == "cpu" else "KIND_GPU"
    return {
        "name": face.name,
        "platform": IMAGE_PLATFORM if face.takes_files else PLATFORM,
        "backend": "onnxruntime",
        "version_policy": {"specific": {"versions": versions}},
        "max_batch_size": face.signature.max_images,
        "input": [_tensor(face.signature.input)],
        "output": [{**_tensor(spec), "label_filename": ""} for spec in face.signature.outputs],
        "instance_group": [{"name": face.name, "kind": device, "count": settings.workers, "gpus": []}],
        "dynamic_batching": {
            "preferred_batch_size": [batcher.max_batch_size],
            "max_queue_delay_microseconds": round(batcher.max_wait_ms * 1000),
            "preserve_ordering": True,
            "default_queue_policy": {
                "timeout_action": "REJECT",
                "default_timeout_microseconds": round(settings.request_timeout_s * 1e6),
                "allow_timeout_override": True,
                "max_queue_size": batcher.queue_capacity,
            },
        },
        "model_warmup": [],
        "model_transaction_policy": {"decoupled": False},
        "response_cache": {"enable": False},
        "parameters": {"precision": {"string_value": face.model.loaded.precision}},
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    # Triton calls BYTES a string here
    kind = "TYPE_STRING" if spec.datatype == "BYTES" else f"TYPE_{spec.datatype}"
    return {"name": spec.name, "data_type": kind, "dims": list(spec.shape[1:])}
