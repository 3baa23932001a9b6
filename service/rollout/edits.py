"""The changes that can be made to a model's plan, each from plan to plan; what cannot be raises `Conflict`."""

from collections.abc import Mapping

from service.errors import Conflict
from service.rollout.deployment import Aborted, CanaryPlan, Extra, ModelPlan, ShadowPlan


def promote(plan: ModelPlan, version: int) -> ModelPlan:
    """Make *version* the active one, and the active one the previous; it is then no canary or shadow any more."""
    if plan.active == version:
        return _with(plan, loaded=True, follow_latest=False)
    changed = _with(plan, active=version, previous=plan.active, loaded=True, follow_latest=False)
    if plan.canary is not None and plan.canary.version == version:
        changed = _with(changed, canary=None)
    if plan.shadow is not None and plan.shadow.version == version:
        changed = _with(changed, shadow=None)
    return changed


def follow(plan: ModelPlan, version: int) -> ModelPlan:
    """Make a newer *version* active that has proved itself, if newer ones are still to be followed."""
    if not plan.follow_latest or plan.active is None or version <= plan.active:
        return plan
    return _with(promote(plan, version), follow_latest=True, loaded=plan.loaded)


def roll_back(plan: ModelPlan) -> ModelPlan:
    """Make the version active that was before; once more, and it is undone."""
    if plan.previous is None:
        raise Conflict("there is no previous version to roll back to")
    return promote(plan, plan.previous)


def set_canary(plan: ModelPlan, canary: CanaryPlan | None) -> ModelPlan:
    """Send a share of the requests to another version, or none any more."""
    if canary is not None and canary.version == plan.active:
        raise Conflict(f"version {canary.version} is active: it cannot be its own canary")
    return _with(plan, canary=canary, aborted=None if canary is not None else plan.aborted)


def set_shadow(plan: ModelPlan, shadow: ShadowPlan | None) -> ModelPlan:
    """Compare another version's answers with the active one's, or no longer."""
    if shadow is not None and shadow.version == plan.active:
        raise Conflict(f"version {shadow.version} is active: it cannot be its own shadow")
    return _with(plan, shadow=shadow, aborted=None if shadow is not None else plan.aborted)


def abort(plan: ModelPlan, aborted: Aborted) -> ModelPlan:
    """End a trial that has passed a limit, if it has not ended or changed already."""
    trial = plan.canary if aborted.role == "canary" else plan.shadow
    if trial is None or trial.version != aborted.version:
        return plan
    return _with(plan, **{aborted.role: None}, aborted=aborted)


def load(plan: ModelPlan, extra: Extra | None) -> ModelPlan:
    """Serve the model again, or *extra* beside its active version."""
    if extra is None:
        return _with(plan, loaded=True)
    return _with(plan, loaded=True, extra=(*(one for one in plan.extra if one != extra), extra))


def unload(plan: ModelPlan, version: int | None) -> ModelPlan:
    """Serve the model no longer, or no longer *version* of it in any precision that has no role."""
    if version is None:
        return _with(plan, loaded=False)
    roles = {"active": plan.active}
    if plan.canary is not None:
        roles["canary"] = plan.canary.version
    if plan.shadow is not None:
        roles["shadow"] = plan.shadow.version
    for role, number in roles.items():
        if number == version:
            raise Conflict(f"version {version} is the {role} one; it can be unloaded when it is not")
    return _with(plan, extra=tuple(one for one in plan.extra if one.version != version))


def configure(plan: ModelPlan, changes: Mapping[str, object]) -> ModelPlan:
    """Change how the model is served: fields of `ModelPlan`, already checked."""
    return plan.model_copy(update=dict(changes))


def _with(plan: ModelPlan, **changes: object) -> ModelPlan:
    return plan.model_copy(update=changes)
