"""training/data/split.py: splits by hash; the stratified ones are tested with the digits."""

import numpy as np
import pytest

from training.data.split import by_name, hold_out

NAMES = [f"IMG_{number:04}.jpg" for number in range(2000)]


def test_names_are_split_70_10_20() -> None:
    """Within what chance allows in 2,000, and each name is in one part."""
    train, validation, test = by_name(NAMES, validation=True, test=True)

    assert sorted(train + validation + test) == NAMES
    assert len(train) == pytest.approx(1400, abs=60)
    assert len(validation) == pytest.approx(200, abs=40)
    assert len(test) == pytest.approx(400, abs=60)


def test_a_name_stays_where_it_is_when_others_come_and_go() -> None:
    """So that no image which was learned from is ever tested on."""
    before = by_name(NAMES[:500], validation=True, test=True)
    after = by_name(NAMES[250:], validation=True, test=True)

    stayed = set(NAMES[250:500])
    assert [stayed & set(part) for part in before] == [stayed & set(part) for part in after]


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_a_small_class_has_an_image_to_learn_from_and_one_to_test_on(count: int) -> None:
    """And one to validate on, if there are three; whatever their names."""
    for start in range(100):
        sizes = [len(part) for part in by_name(NAMES[start : start + count], validation=True, test=True)]

        assert sum(sizes) == count
        assert sizes[0] >= 1
        assert sizes[2] >= 1
        assert sizes[1] >= (count > 2)


def test_only_what_is_missing_is_taken_out_of_train() -> None:
    """A data set may bring its own test split, or its own validation split."""
    train, validation, test = by_name(NAMES, validation=True, test=False)
    assert not test
    assert len(validation) == pytest.approx(200, abs=40)
    assert len(train) + len(validation) == 2000

    train, validation, test = by_name(NAMES, validation=False, test=True)
    assert not validation
    assert test == by_name(NAMES, validation=True, test=True)[2]
    assert by_name(NAMES, validation=False, test=False) == (NAMES, [], [])


def test_held_out_classes_are_in_proportion() -> None:
    """A tenth of each, disjoint, the same every time."""
    class_ids = np.repeat([0, 1, 2], [100, 200, 700])

    kept, held = hold_out(class_ids, 0.1)

    assert np.bincount(class_ids[held]).tolist() == [10, 20, 70]
    assert sorted([*kept, *held]) == list(range(1000))
    np.testing.assert_array_equal(held, hold_out(class_ids, 0.1)[1])
