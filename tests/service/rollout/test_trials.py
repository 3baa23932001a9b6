"""service/rollout/trial.py, trials.py and figures.py: what a canary or shadow is worth, and when it ends by itself."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.rollout.deployment import Abort
from service.rollout.figures import Figures
from service.rollout.trial import divergence
from tests.asgi import request
from tests.factories import encode
from tests.service.rollout.pair import Pair, paired
from tests.stores import make_store, put_version

WHITE = encode(Image.new("L", (28, 28), 255))


async def roles(pair: Pair, worker: int = 0) -> dict[str, Any]:
    """The figures by role."""
    answer = await request(pair.workers[worker].application, "GET", "/v1/models/lenet/trial")
    found: dict[str, Any] = answer.json()["roles"]
    return found


async def test_a_shadow_is_compared_and_never_answers(tmp_path: Path) -> None:
    """One that agrees but is less sure; its answers are counted, on the worker that made them."""
    put_version(tmp_path / "store", favourite=1, tilt=2.0)
    put_version(tmp_path / "store", favourite=1, tilt=1.0)
    put_version(tmp_path / "store", favourite=3)
    async with paired(tmp_path, 1) as pair:
        await pair.post("lenet/promote", {"version": 1})
        await pair.post("lenet/shadow", {"version": 2})

        assert {await pair.version(0) for _ in range(20)} == {1}
        await pair.until(lambda: _compared(pair, "shadow", 20))

        shadow = (await roles(pair))["shadow"]
        assert (shadow["version"], shadow["agreement"], shadow["errors"]) == (2, 1.0, 0)
        assert 0.05 < shadow["divergence"] < 0.5
        assert (await roles(pair))["active"]["requests"] == 20

        await pair.post("lenet/shadow", {"version": 3})
        assert {await pair.version(0) for _ in range(10)} == {1}
        await pair.until(lambda: _compared(pair, "shadow", 10))
        assert (await roles(pair))["shadow"]["agreement"] == 0.0
        text = (await request(pair.workers[0].application, "GET", "/metrics")).body.decode()
        assert 'classifier_trial_agreed_total{model="lenet",role="shadow",version="2"} 20.0' in text
        assert 'classifier_trial_request_duration_seconds_count{model="lenet",role="shadow",version="3"} 10.0' in text

        await pair.post("lenet/shadow", method="DELETE")
        assert await roles(pair) == {}
        assert pair.workers[0].control.catalog.lineups["lenet"].active.trial is None


async def test_a_canary_is_compared_with_the_active_version(tmp_path: Path) -> None:
    """Its requests by itself, its images once more by the active version."""
    make_store(tmp_path / "store", 2)
    async with paired(tmp_path, 1) as pair:
        await pair.post("lenet/promote", {"version": 1})
        await pair.post("lenet/canary", {"version": 2, "percent": 100})

        assert {await pair.version(0) for _ in range(8)} == {2}
        await pair.until(lambda: _compared(pair, "canary", 8))

        found = await roles(pair)
        assert (found["canary"]["requests"], found["canary"]["agreement"]) == (8, 0.0)
        assert found["active"]["requests"] == 0


@pytest.mark.parametrize("role", ["canary", "shadow"])
async def test_what_disagrees_too_much_is_taken_out(tmp_path: Path, role: str) -> None:
    """On every worker, with the reason in the index and in the deployment."""
    make_store(tmp_path / "store", 2)
    body: dict[str, Any] = {"version": 2, "abort": {"min_samples": 5, "min_agreement": 0.5}}
    async with paired(tmp_path) as pair:
        await pair.post("lenet/promote", {"version": 1})
        await pair.post(f"lenet/{role}", {**body, "percent": 100} if role == "canary" else body)
        await pair.until(lambda: pair.workers[0].control.trials._before or pair.workers[1].control.trials._before)

        async def gone() -> bool:
            await request(pair.workers[0].application, "POST", "/v1/classify", WHITE)
            return all(getattr(worker.control.deployment.models["lenet"], role) is None for worker in pair.workers)

        await pair.until(gone)

        assert await pair.active() == [1, 1]
        reason = (await pair.states(1))[2][1]
        assert reason.startswith(f"{role} aborted: agrees with the active version on 0.0% of")
        aborted = (await request(pair.workers[0].application, "GET", "/v1/deployment")).json()["models"]["lenet"]
        assert (aborted["aborted"]["version"], aborted["aborted"]["role"]) == (2, role)


async def test_a_canary_that_fails_is_taken_out(tmp_path: Path) -> None:
    """By its share of errors; the active version answers the same image."""
    put_version(tmp_path / "store")
    put_version(tmp_path / "store", hates_white=True)
    rule = {"min_samples": 4, "max_error_share": 0.2}
    async with paired(tmp_path, 1) as pair:
        await pair.post("lenet/promote", {"version": 1})
        await pair.post("lenet/canary", {"version": 2, "percent": 100, "abort": rule})
        assert await pair.version(0) == 2
        await pair.until(lambda: pair.workers[0].control.trials._before)

        async def healed() -> bool:
            answer = await request(pair.workers[0].application, "POST", "/v1/classify", WHITE)
            return answer.status == 200 and answer.json()["model"]["version"] == 1

        await pair.until(healed)

        assert "images failed, more than 20.0%" in (await pair.states())[2][1]


async def _compared(pair: Pair, role: str, images: int) -> bool:
    compared: int = (await roles(pair))[role]["compared"]
    return compared == images


def test_the_divergence_of_distributions() -> None:
    """Σ p·ln(p/q): zero for the same, finite where one has a zero, against a value by hand."""
    even, odd = np.array([0.5, 0.5], np.float32), np.array([0.9, 0.1], np.float32)

    assert divergence(even, even) == 0
    assert divergence(even, odd) == pytest.approx(0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1))
    assert 10 < divergence(even, np.array([1, 0], np.float32)) < 20


@pytest.mark.parametrize(
    ("figures", "rule", "says"),
    [
        (Figures(images=100, errors=2), Abort(max_error_share=0.01), "2.0% of 100 images failed, more than 1.0%"),
        (Figures(images=99, errors=99), Abort(max_error_share=0.01), None),
        (Figures(images=100, errors=1), Abort(max_error_share=0.01), None),
        (Figures(compared=100, agreed=89), Abort(min_agreement=0.9), "on 89.0% of 100 images, less than 90.0%"),
        (Figures(compared=100, agreed=90), Abort(min_agreement=0.9), None),
        (Figures(compared=99, agreed=0), Abort(min_agreement=0.9), None),
        (Figures(compared=100, divergence=20), Abort(max_divergence=0.1), "mean divergence 0.2 nats over 100 images"),
        (Figures(compared=100, divergence=10), Abort(max_divergence=0.1), None),
    ],
)
def test_a_limit_is_passed_only_on_enough_images(figures: Figures, rule: Abort, says: str | None) -> None:
    """At the limit it is kept."""
    breach = figures.breach(rule)

    assert (breach is None) if says is None else (breach is not None and says in breach)
