"""What can go wrong with a request, and the HTTP status of every error code, the contract's (`models.errors`) included.

This is the only place that knows statuses. Text of a `RequestError` is one line that is safe to show to a client.
"""

from typing import ClassVar, Final, TypeVar

_Error = TypeVar("_Error", bound=Exception)

STATUS: Final[dict[str, int]] = {
    "bad_json": 400,
    "bad_multipart": 400,
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "unknown_model": 404,
    "unknown_request": 404,
    "method": 405,
    "slow_client": 408,
    "conflict": 409,
    "load_failed": 409,
    "body_too_large": 413,
    "too_many_images": 413,
    "media_type": 415,
    "bad_param": 422,
    "unknown_label": 422,
    "too_many_pixels": 422,
    "truncated": 422,
    "unidentified": 422,
    "client_limit": 429,
    "rate_limited": 429,
    "internal": 500,
    "invalid_deployment": 500,
    "unsupported": 501,
    "not_ready": 503,
    "queue_full": 503,
    "deadline": 504,
    "not_applied": 504,
}
CLOSES_CONNECTION: Final = frozenset({"body_too_large", "slow_client"})  # what is left of the body is not worth reading

RESTS: Final = frozenset({"client_limit", "rate_limited"})  # who is told to come back later is not heard at once


def quoted(text: str) -> str:
    """Return what a client sent, fit for one line of an error: escaped, in quotes, cut to a readable length."""
    return repr(text if len(text) <= 64 else text[:61] + "...")


def as_value(error: _Error) -> _Error:
    """Return an error that is an answer from now on, without the way it came.

    That leads to every frame on it, with the request's body, and from there back to the error: all would stay until the
    garbage collector comes by, which is seldom.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


class RequestError(Exception):
    """Base of everything that ends a request with an error answer."""

    code: ClassVar[str] = "internal"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class NotFound(RequestError):
    """No such path."""

    code = "not_found"


class MethodNotAllowed(RequestError):
    """The path exists, for other methods."""

    code = "method"

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"method {method} is not allowed here; allowed: {allowed}")
        self.headers = ((b"allow", allowed.encode()),)


class Unauthorized(RequestError):
    """No key, or one that is not known."""

    code = "unauthorized"
    headers = ((b"www-authenticate", b"Bearer"),)  # RFC 6750, section 3


class Forbidden(RequestError):
    """A known key that may not do this."""

    code = "forbidden"


class BodyTooLarge(RequestError):
    """More bytes than the body limit, declared or sent."""

    code = "body_too_large"


class SlowClient(RequestError):
    """The body was not complete in time."""

    code = "slow_client"


class UnsupportedMediaType(RequestError):
    """A content type or encoding that this route does not take."""

    code = "media_type"


class BadMultipart(RequestError):
    """A multipart body that cannot be parsed."""

    code = "bad_multipart"


class TooManyImages(RequestError):
    """More files in one request than the limit."""

    code = "too_many_images"


class BadParameter(RequestError):
    """A parameter that does not exist or is out of range."""

    code = "bad_param"


class InvalidRequest(RequestError):
    """An inference request that cannot be parsed, or whose tensors do not fit the model."""

    code = "bad_request"


class Unsupported(RequestError):
    """A part of a protocol that is not offered."""

    code = "unsupported"


class UnknownModel(RequestError):
    """No model of that name is served."""

    code = "unknown_model"


class UnknownRequest(RequestError):
    """No image of a request like that is on record."""

    code = "unknown_request"


class UnknownLabel(RequestError):
    """A label that the model does not know."""

    code = "unknown_label"


class BadJson(RequestError):
    """A body that is no JSON."""

    code = "bad_json"


class Conflict(RequestError):
    """A change that does not fit what is served."""

    code = "conflict"


class LoadFailed(RequestError):
    """The version that a change needs cannot be served; what was served before still is."""

    code = "load_failed"


class NotApplied(RequestError):
    """A change was written down, and not every worker has followed in time."""

    code = "not_applied"


class DeadlinePassed(RequestError):
    """The request's time was up before it had an answer."""

    code = "deadline"


class InferenceFailed(RequestError):
    """The device failed on the batch that this image was in."""

    code = "internal"


class _TryLater(RequestError):
    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.headers = ((b"retry-after", b"%d" % retry_after_s),)


class Overloaded(_TryLater):
    """The queue is full, by images or by the time that waiting in it would take."""

    code = "queue_full"


class ClientLimit(_TryLater):
    """This client holds its share of the queue already; others are served."""

    code = "client_limit"


class NotReady(_TryLater):
    """No model is ready: loading, or shutting down."""

    code = "not_ready"


class RateLimited(_TryLater):
    """The key has made more requests than it may."""

    code = "rate_limited"
