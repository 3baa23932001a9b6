"""service/rollout/edits.py: what each change makes of a plan."""

import pytest

from service.errors import Conflict
from service.rollout import edits
from service.rollout.deployment import CanaryPlan, Extra, ModelPlan, ShadowPlan

PLAN = ModelPlan(active=2, previous=1)


def test_promotion_remembers_what_was_active() -> None:
    """And ends the trial of what it promotes, not that of another."""
    canary, shadow = CanaryPlan(version=3, percent=10), ShadowPlan(version=4)
    plan = ModelPlan(active=2, follow_latest=True, canary=canary, shadow=shadow)

    assert edits.promote(plan, 3) == ModelPlan(active=3, previous=2, shadow=shadow)
    assert edits.promote(plan, 4) == ModelPlan(active=4, previous=2, canary=canary)


def test_promotion_of_the_active_version_keeps_the_way_back() -> None:
    """It only pins it."""
    assert edits.promote(PLAN.model_copy(update={"follow_latest": True}), 2) == PLAN


def test_roll_back_and_back_again() -> None:
    """Twice is where it began."""
    once = edits.roll_back(PLAN)

    assert once == ModelPlan(active=1, previous=2)
    assert edits.roll_back(once) == PLAN
    with pytest.raises(Conflict, match="no previous version"):
        edits.roll_back(ModelPlan(active=1))


def test_only_newer_versions_are_followed_and_only_where_asked_for() -> None:
    """What was pinned meanwhile stays."""
    following = ModelPlan(active=2, follow_latest=True)

    assert edits.follow(following, 3) == ModelPlan(active=3, previous=2, follow_latest=True)
    assert edits.follow(following, 1) is following
    assert edits.follow(PLAN, 3) is PLAN


def test_a_version_is_not_compared_with_itself() -> None:
    """Nor is it its own canary."""
    with pytest.raises(Conflict, match="version 2 is active: it cannot be its own canary"):
        edits.set_canary(PLAN, CanaryPlan(version=2, percent=1))
    with pytest.raises(Conflict, match="its own shadow"):
        edits.set_shadow(PLAN, ShadowPlan(version=2))
    assert edits.set_shadow(edits.set_shadow(PLAN, ShadowPlan(version=3)), None) == PLAN
    assert edits.set_canary(edits.set_canary(PLAN, CanaryPlan(version=3, percent=1)), None) == PLAN


def test_versions_are_loaded_and_unloaded_beside_the_active_one() -> None:
    """Each once; one with a role stays."""
    plan = edits.load(edits.load(PLAN, Extra(version=1)), Extra(version=1, precision="int8"))

    assert edits.load(plan, Extra(version=1)).extra == (Extra(version=1, precision="int8"), Extra(version=1))
    assert edits.unload(plan, 1) == PLAN
    for role in (
        PLAN,
        ModelPlan(active=1, canary=CanaryPlan(version=2, percent=1)),
        ModelPlan(active=1, shadow=ShadowPlan(version=2)),
    ):
        with pytest.raises(Conflict, match="version 2 is the"):
            edits.unload(role, 2)


def test_a_whole_model_is_unloaded_and_loaded() -> None:
    """Nothing else of its plan changes."""
    unloaded = edits.unload(PLAN, None)

    assert not unloaded.loaded
    assert edits.load(unloaded, None) == PLAN
    assert edits.configure(PLAN, {"max_batch_size": 4}) == ModelPlan(active=2, previous=1, max_batch_size=4)
