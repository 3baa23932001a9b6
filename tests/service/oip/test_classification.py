"""service/oip/classification.py: the best classes as text."""

import numpy as np

from service.oip.classification import best


def test_classes_are_named_best_first() -> None:
    """Image after image, six decimals, colons of a label left alone, no softmax."""
    values = np.array([[0.1, 0.9, -3], [2, 1, 1e-9]], np.float32)

    assert best(values, ["a", "b:b", "ç"], 2) == [
        b"0.900000:1:b:b",
        b"0.100000:0:a",
        b"2.000000:0:a",
        b"1.000000:1:b:b",
    ]


def test_of_equal_values_the_lower_class_comes_first() -> None:
    """Whatever sorts."""
    assert best(np.zeros((1, 40), np.float32), [str(i) for i in range(40)], 3) == [
        b"0.000000:%d:%d" % (i, i) for i in range(3)
    ]
