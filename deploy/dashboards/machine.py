"""The machine under it: processor, memory, files, and the GPU where there is one."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.dashboards.expressions import rate, selector, total
from deploy.dashboards.panels import line, of, rows
from service.families import (
    BUILD_INFO,
    CPU_SECONDS,
    GPU_MEMORY,
    GPU_MEMORY_TOTAL,
    GPU_UTILISATION,
    MODEL_NODES,
    OPEN_FILES,
    RESIDENT,
    WORKERS,
    WORKERS_WANTED,
)

_OF_GPU = ("instance", "gpu")
_GPU = "{{instance}} GPU {{gpu}}"
NEEDS_GPU = "On a machine with a GPU only."  # begins the description of panels that have no data elsewhere


def build() -> Dashboard:
    """Return the dashboard."""
    return of(
        "machine",
        "ConvServe · machine",
        "Processor, memory, files, and the GPU where there is one.",
        [("Processes", _processes()), ("GPU", _gpu()), ("Versions and placement", _software())],
    )


def _processes() -> list[object]:
    return [
        line(
            "Processor",
            "Cores in use by the workers.",
            [(rate(CPU_SECONDS, by=("instance",)), "{{instance}}")],
            unit="none",
            span=6,
        ),
        line("Memory", "Resident.", [(total(RESIDENT, by=("instance",)), "{{instance}}")], unit="bytes", span=6),
        line(
            "Open files",
            "Connections among them.",
            [(total(OPEN_FILES, by=("instance",)), "{{instance}}")],
            unit="none",
            span=6,
        ),
        line(
            "Workers",
            "Live processes, and those that the settings ask for.",
            [
                (total(WORKERS, by=("instance",)), "{{instance}}"),
                (total(WORKERS_WANTED, by=("instance",)), "{{instance}} wanted"),
            ],
            unit="none",
            span=6,
        ),
    ]


def _gpu() -> list[object]:
    share = f"{total(GPU_MEMORY, by=_OF_GPU)} / {total(GPU_MEMORY_TOTAL, by=_OF_GPU)}"
    return [
        line(
            "Busy",
            f"{NEEDS_GPU} Part of the time.",
            [(total(GPU_UTILISATION, by=_OF_GPU), _GPU)],
            unit="percentunit",
            top=1,
        ),
        line("Memory in use", f"{NEEDS_GPU} By whomever.", [(total(GPU_MEMORY, by=_OF_GPU), _GPU)], unit="bytes"),
        line("Share of memory in use", f"{NEEDS_GPU} By whomever.", [(share, _GPU)], unit="percentunit", top=1),
    ]


def _software() -> list[object]:
    built = ("instance", "version", "python", "onnxruntime", "bentoml")
    placed = ("model", "version", "precision", "provider", "instance")
    return [
        rows("Versions", "Of the service and of what it stands on.", selector(BUILD_INFO), built, span=12),
        rows(
            "Nodes on each execution provider",
            "Of the graph of each model.",
            selector(MODEL_NODES),
            placed,
            span=12,
            value="nodes",
        ),
    ]
