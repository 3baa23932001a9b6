"""The whole examination, in the order in which one would mend things."""

from service.doctor import machine, models, trial
from service.doctor.finding import Finding
from service.settings import Settings, faults


def examine() -> list[Finding]:
    """Return everything that is wrong; with settings that cannot be used, the rest is examined with the defaults."""
    found = [
        Finding("settings", fault, "correct it or unset it: docs/configuration.md has all of them")
        for fault in faults()
    ]
    settings = Settings.model_construct() if found else Settings()
    found += machine.packages()
    without_gpu = list(machine.gpu(settings))
    if not without_gpu and settings.provider not in {"auto", "cpu"}:
        without_gpu = list(trial.on_provider(settings))
    found += without_gpu
    found += machine.access(settings)
    found += machine.folders(settings)
    found += models.models(settings)
    return found
