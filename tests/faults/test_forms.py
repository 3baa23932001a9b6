"""F17 to F27: multipart bodies, JSON, media types and parameters that are wrong or hostile."""

import json
import pickle
import socket
import threading
from base64 import b64encode

import pytest

from tests.factories import shipped_digit
from tests.faults.site import MIB, Site, least_cpu_s
from tests.faults.wire import multipart

pytestmark = pytest.mark.e2e
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
JSON = {"Content-Type": "application/json"}
DIGIT, CLASS_ID = shipped_digit()
WHOLE = multipart(DIGIT)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", WHOLE),
        ("multipart/form-data; boundary=", WHOLE),
        ("multipart/form-data; boundary=other", WHOLE),
        (f"multipart/form-data; boundary={'b' * 71}", WHOLE),
        ("multipart/form-data; boundary=b", WHOLE[:-20]),
        ("multipart/form-data; boundary=b", WHOLE.removesuffix(b"--b--\r\n")),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
        ("multipart/form-data; boundary=b", b"\r\n--b\r\n\r\n\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nno colon\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", multipart(DIGIT, name='name="top_k"')),
    ],
)
def test_f17_multipart_that_cannot_be_parsed(shared: Site, content_type: str, body: bytes) -> None:
    """400, never 500."""
    with shared.fault(rejected={"bad_multipart": 1}):
        answer = shared.classify(body, headers={"Content-Type": content_type})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_multipart")


@pytest.mark.parametrize("parts", [33, 1_001])
def test_f18_too_many_parts(shared: Site, parts: int) -> None:
    """413 at the first that is too many."""
    body = multipart(*[b""] * parts)

    def send() -> None:
        answer = shared.classify(body, headers=FORM)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_many_images")

    with shared.fault(rejected={"too_many_images": 3}):
        assert least_cpu_s(shared.worker, send) < 0.05


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (multipart(b"a" * 5 * MIB, name='name="text"'), 400),
        (b"--b\r\nX-Long: " + b"h" * MIB + b"\r\n\r\nx\r\n--b--\r\n", 400),
        (b"--b\r\nContent-Disposition: form-data; filename=" + b"n" * MIB + b"\r\n\r\nx\r\n--b--\r\n", 400),
        (b"--b\r\n" + b"X: y\r\n" * 100_000 + b"\r\nx\r\n--b--\r\n", 400),
        (b"p" * 9 * MIB + b"\r\n" + WHOLE, 400),
        (WHOLE + b"e" * 9 * MIB, 200),
        (b"--b\r" * 1_500_000, 400),
        (b"\r\n--" * 2_000_000, 400),
        (multipart(b"\r\n--bx" * 1_500_000), 400),
    ],
)
def test_f19_endless_parts_of_a_form(shared: Site, body: bytes, status: int) -> None:
    """Text, part headers, preambles and epilogues of megabytes cost time in proportion, and not much."""
    rejected = {"bad_multipart": 3} if status == 400 else {}

    def send() -> None:
        assert shared.classify(body, headers=FORM).status_code == status

    with shared.fault(rejected=rejected, grows_bytes=48 * MIB):
        assert least_cpu_s(shared.worker, send) < 0.1


@pytest.mark.parametrize(
    "filename",
    ['"../../etc/passwd"', '"a\0b"', '"' + "é" * 2_000 + '"', '"a%0d%0aX: y"', '"c:\\\\\\x.png"', '""'],
)
def test_f20_file_names_are_not_looked_at(shared: Site, filename: str) -> None:
    """Not written, not echoed, not logged."""
    body = b"--b\r\nContent-Disposition: form-data; name=f; filename=" + filename.encode() + b"\r\n\r\n"
    with shared.fault():
        answer = shared.classify(body + DIGIT + b"\r\n--b--\r\n", headers=FORM)
        assert answer.status_code == 200
        assert answer.json()["predictions"][0]["class_id"] == CLASS_ID
    assert "etc/passwd" not in answer.text + str(answer.headers) + shared.server.log.read_text()


@pytest.mark.parametrize("media_type", ["text/html", "video/mp4", "multipart/mixed; boundary=b", "x"])
def test_f21_a_media_type_that_is_not_taken(shared: Site, media_type: str) -> None:
    """415 that says what is."""
    with shared.fault(rejected={"media_type": 1}):
        answer = shared.classify(DIGIT, headers={"Content-Type": media_type})
        assert (answer.status_code, answer.json()["code"]) == (415, "media_type")
        assert "image/*, application/octet-stream, multipart/form-data or application/json" in answer.json()["error"]


@pytest.mark.parametrize(
    "media_type", ["image/png", "image/anything", "application/octet-stream", "application/x-www-form-urlencoded", None]
)
def test_f21_media_types_of_raw_bodies(shared: Site, media_type: str | None) -> None:
    """What curl and browsers declare, or nothing at all: the bytes decide."""
    with shared.fault():
        answer = shared.classify(DIGIT, headers={"Content-Type": media_type} if media_type else {})
        assert answer.json()["predictions"][0]["class_id"] == CLASS_ID


class Bomb:
    """Unpickled, it would say so."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("unpickled!",)


def test_f22_pickles_are_never_opened(shared: Site) -> None:
    """415 on the classify route, 404 and 405 where BentoML would take them; the only port is ours."""
    headers = {"Content-Type": "application/vnd.bentoml+pickle"}
    with shared.fault(rejected={"media_type": 1, "not_found": 2}):
        assert shared.classify(pickle.dumps(Bomb()), headers=headers).status_code == 415
        for path in ("/classify", "/__internal"):
            assert shared.client.post(path, content=pickle.dumps(Bomb()), headers=headers).status_code == 404
    assert "unpickled!" not in shared.server.log.read_text()


@pytest.mark.parametrize("route", ["/v1/classify", "/v2/models/lenet/infer"])
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[" * 100_000,
        b'{"images":' * 50_000,
        b'{"images":[],"images":[]}',
        b'{"images":[NaN]}',
        b'{"images":[1e400]}',
        b'{"images":[' + b"9" * 5_000 + b"]}",
        b'{"images":["\\ud800"]}',
        b'{"inputs":' * 50_000,
        b'{"inputs":[],"inputs":[]}',
        b'{"inputs":[{"name":"images","shape":[1],"datatype":"UINT8","data":[NaN]}]}',
        b'{"inputs":[{"name":"images","shape":[1e400],"datatype":"UINT8","data":[1]}]}',
        b'{"inputs":[{"name":"images","shape":[' + b"9" * 5_000 + b'],"datatype":"UINT8","data":[1]}]}',
        b'{"id":"\\ud800","inputs":[{"name":"images","shape":[1],"datatype":"UINT8","data":[1]}]}',
        b'\xff\xfe{"inputs":[]}',
        b"null",
        b"[]",
    ],
)
def test_f23_json_that_is_none_or_too_much(shared: Site, body: bytes, route: str) -> None:
    """On the routes that take JSON: a 400 or 422, at little cost."""
    rejected: dict[str, int] = {}
    codes = {"bad_json", "bad_param"} if route == "/v1/classify" else {"bad_request", "bad_json"}

    def send() -> None:
        answer = shared.client.post(route, content=body, headers=JSON)
        assert answer.status_code in (400, 422), answer.text
        code = answer.json()["code"]
        assert code in codes
        rejected[code] = rejected.get(code, 0) + 1

    with shared.fault(rejected=rejected):
        assert least_cpu_s(shared.worker, send) < 0.05


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        ("not base64!", 400, "bad_request"),
        ("  QUJD\n", 400, "bad_request"),
        ("====", 400, "bad_request"),
        ("/9j/4AAQSkZJRg==", 422, "unidentified"),
        ("AAAA" * 4_000_000, 413, "body_too_large"),
    ],
)
def test_f24_images_as_base64(shared: Site, data: str, status: int, code: str) -> None:
    """Text is no image; what expands past the body limit is refused for its size."""
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [data]}
    with shared.fault(rejected={code: 1}, grows_bytes=32 * MIB):
        body = json.dumps({"inputs": [tensor]}).encode()
        answer = shared.client.post("/v2/models/lenet-image/infer", content=body, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        ("not base64!", 422, "bad_param"),
        (" QUJD\n", 422, "bad_param"),
        ("====", 422, "bad_param"),
        ("QUJDR", 422, "bad_param"),
        ("/9j/4AAQSkZJRg==", 422, "unidentified"),
        ("AAAA" * 4_000_000, 413, "body_too_large"),
    ],
)
def test_f24_images_as_base64_of_our_own(shared: Site, data: str, status: int, code: str) -> None:
    """The same beside the protocol: text is no image, and its size counts as it comes."""
    with shared.fault(rejected={code: 1}, grows_bytes=32 * MIB):
        answer = shared.classify(json.dumps({"images": [data]}).encode(), headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


@pytest.mark.parametrize("scheme", ["http", "https", "file", "gopher"])
def test_f25_an_address_is_no_image(shared: Site, scheme: str) -> None:
    """422 and nobody is called: not by the raw route, a form field, JSON, as base64 in it, or a parameter."""
    called = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/x.png"
        with shared.fault(rejected={"unidentified": 3, "bad_param": 2}):
            for text in (url, b64encode(url.encode()).decode()):
                assert shared.classify(json.dumps({"images": [text]}).encode(), headers=JSON).status_code == 422
            assert shared.classify(url.encode()).status_code == 422
            assert shared.classify(multipart(url.encode()), headers=FORM).status_code == 422
            assert shared.classify(DIGIT, f"?url={url}").status_code == 422
        try:
            listener.accept()
            called.set()
        except TimeoutError:
            pass
    assert not called.is_set()


@pytest.mark.parametrize(
    "value", ["0", "-1", "11", "abc", "3.5", "true", "", "9" * 5_000, "%00", "1&top_k=2", "٣", "1_0"]
)
def test_f26_top_k_out_of_range(shared: Site, value: str) -> None:
    """422 that names the parameter and, where there is one, its range."""
    with shared.fault(rejected={"bad_param": 1}):
        answer = shared.classify(DIGIT, f"?top_k={value}")
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_param")
        assert "top_k: must be a whole number from 1 to 10" in answer.json()["error"] or "more than once" in answer.text


@pytest.mark.parametrize("name", ["nobody", "..%2f..%2fetc", "%2e%2e", "lenet%00", "LENET", "a" * 3_000, "lenet/7"])
def test_f27_models_that_do_not_exist(shared: Site, name: str) -> None:
    """404, and no label is made of the name."""
    series = set(shared.metrics())
    code = "not_found" if name in ("lenet/7", "..%2f..%2fetc") else "unknown_model"
    with shared.fault(rejected={code: 1}):
        answer = shared.client.get(f"/v1/models/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, code)
    new = {name for name in set(shared.metrics()) - series if "code=" not in name}
    assert new == set()
