"""The figures of versions on trial, of all workers together, and whether a limit that was set for them is passed."""

from dataclasses import dataclass

from service import families
from service.exposition import Merged
from service.rollout.deployment import Abort

_COUNTED = (  # in the order of the fields
    *(families.TRIAL_REQUESTS, families.TRIAL_IMAGES, families.TRIAL_ERRORS),
    *(families.COMPARED, families.AGREED, families.DIVERGENCE),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted of one version in one role, by all workers together."""

    requests: float = 0
    images: float = 0
    errors: float = 0
    compared: float = 0
    agreed: float = 0
    divergence: float = 0  # sum over compared images, nats

    @classmethod
    def of(cls, merged: Merged, name: str, version: int, role: str) -> "Figures":
        """Read them from the numbers of all workers."""
        labels = (name, str(version), role)
        return cls(*(merged[family.name].get(labels, (0.0,))[0] for family in _COUNTED))

    def since(self, before: "Figures") -> "Figures":
        """Return what was counted after *before*."""
        return Figures(*(getattr(self, field) - getattr(before, field) for field in self.__slots__))

    def summary(self) -> dict[str, float | int]:
        """Return the figures as an answer shows them; shares only where there is something to divide by."""
        shown: dict[str, float | int] = {name: int(getattr(self, name)) for name in ("requests", "images", "errors")}
        shown["compared"] = int(self.compared)
        if self.compared:
            shown |= {"agreement": self.agreed / self.compared, "divergence": self.divergence / self.compared}
        return shown

    def breach(self, rule: Abort) -> str | None:
        """Say which limit of *rule* is passed, None if none is or there is too little to say so."""
        if rule.max_error_share is not None and self.images >= rule.min_samples:
            share = self.errors / self.images
            if share > rule.max_error_share:
                return f"{share:.1%} of {self.images:.0f} images failed, more than {rule.max_error_share:.1%}"
        if self.compared < rule.min_samples:
            return None
        agreement, mean = self.agreed / self.compared, self.divergence / self.compared
        if rule.min_agreement is not None and agreement < rule.min_agreement:
            return (
                f"agrees with the active version on {agreement:.1%} of {self.compared:.0f} images, "
                f"less than {rule.min_agreement:.1%}"
            )
        if rule.max_divergence is not None and mean > rule.max_divergence:
            return f"mean divergence {mean:.3g} nats over {self.compared:.0f} images, more than {rule.max_divergence:g}"
        return None
