"""service/metrics.py: what is merged from several workers, and the text."""

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from service import exposition, families
from service.http import Response, Route
from service.metrics import Metrics
from service.shared_values import Series


async def nothing(_: object) -> Response:
    return Response(b"")


ROUTES = (Route("/a", {"POST": nothing}), Route("/b/{name}", {"GET": nothing}))


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The exposition, parsed by the reference parser."""
    families = text_string_to_metric_families(metrics.render().decode())
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_every_family_is_there_from_the_start() -> None:
    """At 0: a rate over what has not happened yet is 0, not absent."""
    text = Metrics(ROUTES).render().decode()

    for family in families.FAMILIES:
        assert f"# TYPE {family.name}" in text
    assert 'classifier_rejected_total{reason="queue_full"} 0.0' in text
    for code in (200, 500, 503, 504):
        assert f'classifier_http_requests_total{{code="{code}",method="POST",route="/a"}} 0.0' in text


def test_a_histogram_counts_what_is_not_above_its_edges() -> None:
    """Cumulative, with the sum, and the last bucket for everything."""
    metrics = Metrics(ROUTES)
    for seconds in (0.00005, 0.00006, 0.3, 99.0):
        metrics.request("/a", "POST", 200, 0.0, seconds)

    found = samples(metrics)

    def bucket(edge: str) -> float:
        return found["classifier_http_request_duration_seconds_bucket", (("le", edge), ("route", "/a"))]

    assert [bucket(edge) for edge in ("5e-05", "0.0001", "0.25", "0.5", "10.0", "+Inf")] == [1, 2, 2, 3, 3, 4]
    assert found["classifier_http_request_duration_seconds_count", (("route", "/a"),)] == 4
    assert abs(found["classifier_http_request_duration_seconds_sum", (("route", "/a"),)] - 99.30011) < 1e-9


def test_workers_are_merged_by_the_kind_of_number() -> None:
    """Counters sum, dead workers included; gauges of the living sum, or take the least."""
    series = [
        Series(families.IMAGES.name, ("lenet", "1"), (5.0,), 1),
        Series(families.IMAGES.name, ("lenet", "1"), (7.0,), None),
        Series(families.QUEUE_DEPTH.name, ("lenet", "1"), (2.0,), 1),
        Series(families.QUEUE_DEPTH.name, ("lenet", "1"), (3.0,), 2),
        Series(families.QUEUE_DEPTH.name, ("lenet", "1"), (9.0,), None),
        Series(families.READY.name, (), (1.0,), 1),
        Series(families.READY.name, (), (0.0,), 2),
        Series("of another version", (), (1.0,), 1),
    ]

    merged = exposition.merge(series)

    assert merged[families.IMAGES.name]["lenet", "1"] == (12.0,)
    assert merged[families.QUEUE_DEPTH.name]["lenet", "1"] == (5.0,)
    assert merged[families.READY.name][()] == (0.0,)
    assert "of another version" not in merged


def test_sharing_keeps_what_was_counted_before(tmp_path: Path) -> None:
    """The move into the file loses nothing and counts on."""
    metrics = Metrics(ROUTES)
    metrics.reject("queue_full")

    metrics.start(tmp_path)
    metrics.reject("queue_full")

    assert samples(metrics)["classifier_rejected_total", (("reason", "queue_full"),)] == 2
    assert samples(metrics)["classifier_workers", ()] == 1


def test_there_are_few_series() -> None:
    """With one model, far fewer than a scrape can bear."""
    metrics = Metrics(ROUTES)
    metrics.model("lenet", 1)

    assert len(samples(metrics)) < 400


def test_numbers_side_by_side_become_series() -> None:
    """Two workers that know different classes of one version are added class by class."""
    series = [
        Series(families.PREDICTIONS.name, ("lenet", "1", "0", "1"), (5.0, 2.0), 1),
        Series(families.PREDICTIONS.name, ("lenet", "1", "1", "other"), (1.0, 4.0), 2),
    ]

    merged = exposition.merge(series)[families.PREDICTIONS.name]

    assert merged == {("lenet", "1", "0"): (5.0,), ("lenet", "1", "1"): (3.0,), ("lenet", "1", "other"): (4.0,)}


def test_what_is_served_no_longer_is_not_told_of() -> None:
    """Neither that it is served nor where its nodes were."""
    metrics = Metrics(ROUTES)
    info = metrics.model_info("lenet", 1, "fp32", "cpu", "0")
    metrics.series(families.MODEL_NODES, "lenet", "1", "fp32", "cpu").set(5)
    info.add()
    assert "classifier_model_nodes{" in metrics.render().decode()

    info.add(-1)

    assert "classifier_model_nodes{" not in metrics.render().decode()
    assert "classifier_model_info{" not in metrics.render().decode()
