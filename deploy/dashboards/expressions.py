"""PromQL from the service's metric families, so that no dashboard names a metric or a label that does not exist.

Every expression looks at the instances that the dashboard's variables choose, and metrics of models at its models.
"""

from service.families import Family

JOB = "convserve"
INTERVAL = "[$__rate_interval]"  # Grafana: at least four scrapes


def selector(family: Family, part: str = "", **matchers: str) -> str:
    """Return the series of a family: *part* is `bucket`, `sum` or `count` of a histogram; *matchers* are label="value".

    A value that begins with `~`, `!` or `!~` matches so. Raises `ValueError` for a label that the family has not, and
    for a part that its kind has not.
    """
    if (family.kind == "histogram") != bool(part):
        raise ValueError(f"{family.name} is a {family.kind}: part {part!r} makes no sense")
    if unknown := set(matchers) - set(family.labels):
        raise ValueError(f"{family.name} has no label {', '.join(sorted(unknown))}")
    suffix = "_total" if family.kind == "counter" else f"_{part}" if part else ""
    chosen = {"instance": "~$instance"} | ({"model": "~$model"} if "model" in family.labels else {}) | matchers
    labels = [f'job="{JOB}"', *(_matcher(name, value) for name, value in chosen.items())]
    return f"{family.name}{suffix}{{{', '.join(labels)}}}"


def total(family: Family, *, by: tuple[str, ...] = (), **matchers: str) -> str:
    """Return the sum of a gauge."""
    return _sum(selector(family, **matchers), by)


def rate(family: Family, *, by: tuple[str, ...] = (), part: str = "", **matchers: str) -> str:
    """Return the rate per second of a counter, or of a part of a histogram."""
    return _sum(f"rate({selector(family, part, **matchers)}{INTERVAL})", by)


def mean(family: Family, *, by: tuple[str, ...] = (), **matchers: str) -> str:
    """Return the mean of what a histogram observed."""
    return f"{rate(family, by=by, part='sum', **matchers)} / {rate(family, by=by, part='count', **matchers)}"


def quantile(q: float, family: Family, *, by: tuple[str, ...] = (), **matchers: str) -> str:
    """Return a quantile of what a histogram observed."""
    return f"histogram_quantile({q:g}, {rate(family, by=('le', *by), part='bucket', **matchers)})"


def _sum(expression: str, by: tuple[str, ...]) -> str:
    return f"sum by ({', '.join(by)}) ({expression})" if by else f"sum({expression})"


def _matcher(label: str, value: str) -> str:
    for prefix, operator in (("!~", "!~"), ("~", "=~"), ("!", "!=")):
        if value.startswith(prefix):
            return f'{label}{operator}"{value.removeprefix(prefix)}"'
    return f'{label}="{value}"'
