"""What BentoML's Python client asks for first: the endpoints, in BentoML's own words.

It makes a method `classify(images)` of this, which posts image files as a form to `/v1/classify`: our route, so that
none of what BentoML's own endpoints do to bad input happens (docs/decisions/0020-bentoml-s-client.md).
"""

from typing import Any, Final

SCHEMA: Final[dict[str, Any]] = {
    "name": "convserve",
    "type": "service",
    "routes": [
        {
            "name": "classify",
            "route": "/v1/classify",
            "doc": "Classify image files: pass a path, or a list of paths.",
            "batchable": False,
            "input": {
                "type": "object",
                "title": "Images",
                "properties": {"images": {"type": "array", "items": {"type": "file", "format": "image"}}},
                "required": ["images"],
            },
            "output": {"type": "object", "title": "Classified"},
        }
    ],
}
