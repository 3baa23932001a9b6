"""POST /v1/feedback: the label of an image that was classified, as somebody found out later; and what follows from it.

The prediction may have been made by another worker: it is looked up in the file that all of them write.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from service import fields, parameters
from service.catalog import Catalog
from service.errors import Conflict, UnknownLabel, UnknownModel, UnknownRequest, quoted
from service.families import CALIBRATION, FEEDBACK, RECORDS_DROPPED
from service.http import FEW_BYTES, Request, Response, Route
from service.metrics import Metrics
from service.quality import calibration
from service.records.outcome import Answered, tops
from service.records.store import Prediction, Store
from service.records.writer import INTERVAL_S, Writer
from service.rollout import first
from service.settings import Settings


class Label(BaseModel):
    """Which image of which request, and what is on it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    request_id: Annotated[str, Field(min_length=1, max_length=128)]
    index: Annotated[int, Field(ge=0, le=9999)] = 0
    label: Annotated[str, Field(min_length=1, max_length=256)]


class Feedback:
    """The record of predictions, and the handlers."""

    def __init__(self, settings: Settings, catalog: Catalog, metrics: Callable[[], Metrics]) -> None:
        self._settings = settings
        self._catalog = catalog
        self._metrics = metrics
        self._store: Store | None = None
        self._writer: Writer[Prediction] | None = None
        self.routes = (
            Route("/v1/feedback", {"POST": self.tell}, takes_body=True, max_body_bytes=FEW_BYTES, role="classify"),
            Route("/v1/models/{name}/quality", {"GET": self.quality}, role="classify"),
        )

    def start(self) -> None:
        """Make the file and begin to record, if feedback is switched on; raises `sqlite3.Error`."""
        if not self._settings.feedback:
            return
        store = Store(first.state_folder(self._settings), self._settings.feedback_capacity)
        store.open()
        dropped = self._metrics().series(RECORDS_DROPPED, "feedback")
        self._store, self._writer = store, Writer("feedback", store.add, dropped.add)

    def stop(self, timeout_s: float) -> None:
        """Write what is queued."""
        if self._writer is not None:
            self._writer.stop(timeout_s)

    def note(self, answered: Answered) -> None:
        """Record a part of the requests."""
        if self._writer is None or random.random() >= self._settings.feedback:  # noqa: S311 (no secret)
            return
        spec = answered.outcome.model.spec
        for top in tops(answered.outcome):
            self._writer.put(
                Prediction(answered.request_id, top.image, spec.name, spec.version, top.label, top.probability)
            )

    async def tell(self, request: Request) -> Response:
        """POST /v1/feedback: tell the label of an image."""
        parameters.parse(request.query, ())
        told = fields.parse(Label, request.body)
        store = self._store
        if store is None:
            raise UnknownRequest("requests are not recorded here: CONVSERVE_FEEDBACK is 0")
        prediction = await asyncio.to_thread(store.find, told.request_id, told.index)
        if prediction is None:
            await asyncio.sleep(2 * INTERVAL_S)  # it may be so new that it is not written yet
            prediction = await asyncio.to_thread(store.find, told.request_id, told.index)
        if prediction is None:
            raise UnknownRequest(f"image {told.index} of request {quoted(told.request_id)} is not on record")
        self._check_label(prediction, told.label)
        state = await asyncio.to_thread(store.label, prediction, told.label)
        if state == "other":
            raise Conflict(f"image {told.index} of request {quoted(told.request_id)} has another label already")
        right = prediction.predicted == told.label
        if state == "new":
            self._count(prediction, right=right)
        return Response(
            to_json({"model": prediction.model, "version": prediction.version, "correct": right, "state": state})
        )

    async def quality(self, request: Request) -> Response:
        """GET /v1/models/{name}/quality: what feedback says of each version."""
        parameters.parse(request.query, ())
        name = request.params["name"]
        if name not in self._catalog.lineups:
            raise UnknownModel(f"no model {quoted(name)} is served")
        figures = {} if self._store is None else await asyncio.to_thread(self._store.figures, name)
        versions = [
            {
                "version": version,
                **found._asdict(),
                "confusion": [
                    {"label": label, "predicted": predicted, "images": images}
                    for label, predicted, images in found.confusion
                ],
            }
            for version, found in figures.items()
        ]
        return Response(to_json({"name": name, "recorded": self._settings.feedback, "versions": versions}))

    def _check_label(self, prediction: Prediction, label: str) -> None:
        lineup = self._catalog.lineups.get(prediction.model)
        models: list[Any] = [] if lineup is None else list(lineup.versions.values())
        spec = next((model.spec for model in models if model.spec.version == prediction.version), None)
        if spec is None:
            raise UnknownModel(f"{prediction.model} version {prediction.version} is not served any more")
        if label not in spec.labels:
            raise UnknownLabel(f"label: {quoted(label)} is no label of {spec.name} version {spec.version}")

    def _count(self, prediction: Prediction, *, right: bool) -> None:
        labels = (prediction.model, str(prediction.version))
        metrics = self._metrics()
        for outcome in ("correct", "wrong"):
            metrics.series(FEEDBACK, *labels, outcome).add(float((outcome == "correct") == right))
        values = [0.0] * calibration.SIZE
        calibration.count(values, prediction.confidence, right=right)
        metrics.block(CALIBRATION, labels, calibration.SIZE).add(values)
