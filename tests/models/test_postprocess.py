"""models/postprocess.py."""

import numpy as np

from models.postprocess import top_k


def test_predictions_come_best_first() -> None:
    """Label, class_id and probability belong together."""
    probabilities = np.array([0.1, 0.6, 0.3], np.float32)

    predictions = top_k(probabilities, ("a", "b", "c"), 2)

    assert [(p["label"], p["class_id"]) for p in predictions] == [("b", 1), ("c", 2)]
    assert predictions[0]["probability"] == float(np.float32(0.6))


def test_equal_probabilities_keep_the_order_of_labels() -> None:
    """The answer to the same image is the same answer."""
    for classes in (4, 400):
        labels = [str(i) for i in range(classes)]

        predictions = top_k(np.full(classes, 1 / classes, np.float32), labels, 4)

        assert [p["class_id"] for p in predictions] == [0, 1, 2, 3]


def test_all_classes_can_be_asked_for() -> None:
    """Asking for K of K gives every class once, summing to the whole."""
    for classes in (2, 10, 32, 33, 1000):
        probabilities = np.random.default_rng(0).dirichlet(np.ones(classes)).astype(np.float32)

        predictions = top_k(probabilities, [str(i) for i in range(classes)], classes)

        assert sorted(p["class_id"] for p in predictions) == list(range(classes))
        assert [p["probability"] for p in predictions] == sorted(probabilities.tolist(), reverse=True)
        assert abs(sum(p["probability"] for p in predictions) - 1) < 1e-5
