"""Numbers that JSON cannot say: they would be written as null, and then nobody could read the deployment."""

from pathlib import Path

import pytest

from service.rollout.deployment import DeploymentFile
from tests.asgi import request
from tests.service.rollout.pair import paired
from tests.stores import make_store


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("shadow", b'{"version": 2, "abort": {"max_divergence": 1e999}}'),
        ("shadow", b'{"version": 2, "abort": {"max_divergence": Infinity}}'),
        ("shadow", b'{"version": 2, "abort": {"max_divergence": NaN}}'),
        ("canary", b'{"version": 2, "percent": NaN}'),
        ("configure", b'{"max_wait_ms": NaN}'),
    ],
)
async def test_infinity_is_no_limit(tmp_path: Path, verb: str, body: bytes) -> None:
    """The change is refused and the file is as it was."""
    make_store(tmp_path / "store", 2)
    async with paired(tmp_path, 1) as pair:
        await pair.post("lenet/promote", {"version": 1})
        before = DeploymentFile(tmp_path / "state").read()

        answer = await request(pair.workers[0].application, "POST", f"/v1/models/lenet/{verb}", body)

        assert (answer.status, answer.json()["code"]) == (422, "bad_param")
        assert DeploymentFile(tmp_path / "state").read() == before


async def test_a_damaged_deployment_is_told_to_who_changes_it(tmp_path: Path) -> None:
    """Instead of hanging up."""
    make_store(tmp_path / "store", 2)
    async with paired(tmp_path, 1) as pair:
        await pair.post("lenet/promote", {"version": 1})
        (tmp_path / "state" / "deployment.json").write_text('{"models": null}')

        answer = await pair.post("lenet/promote", {"version": 2})

        assert (answer.status, answer.json()["code"]) == (500, "invalid_deployment")
        assert await pair.active() == [1]
