"""The classification extension: the best classes of an output as `value:class_id:label` in place of its numbers.

Source: Triton's extension_classification.md and classification.cc. Values are the output's own: no softmax is put on
logits. Of equal values the lower class_id comes first, which the extension leaves open.
"""

from collections.abc import Sequence

from models.postprocess import top_k
from service.oip.tensors import Floats


def best(values: Floats, labels: Sequence[str], k: int) -> list[bytes]:
    """Return the *k* best classes of each image, best first, one image after the other.

    *values* has shape (N, K); 1 ≤ *k* ≤ K. A value is written with six decimals, as C++'s std::to_string does.
    """
    return [
        f"{found['probability']:.6f}:{found['class_id']}:{found['label']}".encode()
        for row in values
        for found in top_k(row, labels, k)
    ]
