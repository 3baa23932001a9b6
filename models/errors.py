"""Every way in which an image or a model file can be refused, one class each, with a stable code.

The codes are part of the HTTP API. What status a code becomes is the service's business and is not known here.
"""

from typing import ClassVar


class ModelError(Exception):
    """Base of all errors of the contract; `str(error)` is one line that is safe to show to a client."""

    code: ClassVar[str] = "internal"


class InvalidImage(ModelError):
    """The bytes are not an image that can be identified."""

    code = "unidentified"


class TruncatedImage(InvalidImage):
    """The header is good, the pixel data is damaged or ends early."""

    code = "truncated"


class ImageFormatNotAllowed(ModelError):
    """A known file format that is not on the allow-list."""

    code = "media_type"


class ImageTooLarge(ModelError):
    """More pixels than the limit, known from the header alone."""

    code = "too_many_pixels"


class InvalidSpec(ModelError):
    """A model's spec is missing, malformed, or disagrees with its folder or its graph."""

    code = "invalid_spec"


class InvalidModelFile(ModelError):
    """A file of a model version is missing, damaged or not the one that its manifest names."""

    code = "invalid_model"


class ModelNotFound(ModelError):
    """No such model or version in the store."""

    code = "unknown_model"
