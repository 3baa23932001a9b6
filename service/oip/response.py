"""An inference response of the Open Inference Protocol: JSON, or JSON and the bytes of the binary outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from service.http import Response
from service.oip import classification, tensors
from service.oip.request import Wanted
from service.oip.tensors import Floats


def encode(
    head: Mapping[str, Any], outputs: Mapping[str, Floats], wanted: Sequence[Wanted], labels: Sequence[str]
) -> Response:
    """Return the answer: *head* (model, version, id), then of *outputs*, each (N, K), those that are *wanted*.

    Where an output is binary, the content type is application/octet-stream and Inference-Header-Content-Length says
    where the JSON ends.
    """
    described: list[dict[str, Any]] = []
    blobs: list[bytes] = []
    for want in wanted:
        values: Floats | list[bytes] = outputs[want.spec.name]
        shape = list(outputs[want.spec.name].shape)
        datatype = want.spec.datatype
        if want.classification:
            values = classification.best(outputs[want.spec.name], labels, want.classification)
            shape, datatype = [shape[0], want.classification], "BYTES"
        output: dict[str, Any] = {"name": want.spec.name, "datatype": datatype, "shape": shape}
        if want.binary:
            blobs.append(tensors.to_binary(values))
            output["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            output["data"] = tensors.to_json(values)
        described.append(output)
    # JSON knows no NaN and no infinity; clients read null as NaN
    content = to_json({**head, "outputs": described}, inf_nan_mode="null")
    if not any(want.binary for want in wanted):
        return Response(content)
    return Response(
        b"".join((content, *blobs)),
        content_type=b"application/octet-stream",
        headers=[(b"inference-header-content-length", b"%d" % len(content))],
    )
