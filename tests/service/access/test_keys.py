"""service/access/keys.py: the file and what is found in it."""

import hashlib
from pathlib import Path

import pytest

from service.access.keys import InvalidKeyFile, Key, digest_of, find, new_key, presented_in, read

DIGEST = hashlib.sha256(b"one").hexdigest()
OTHER = hashlib.sha256(b"two").hexdigest()


def written(folder: Path, *lines: str) -> Path:
    """A file of these lines."""
    path = folder / "keys"
    path.write_text("\n".join(lines))
    return path


def test_a_key_is_found_by_its_digest(tmp_path: Path) -> None:
    """Also the last one, and with a rate; comments and empty lines do not count."""
    path = written(tmp_path, "# ours", "", f"one classify {DIGEST}", f"two  admin {OTHER.upper()} 0.5/s")

    keys = read(path)

    assert keys == (
        Key("one", "classify", hashlib.sha256(b"one").digest()),
        Key("two", "admin", hashlib.sha256(b"two").digest(), 0.5),
    )
    assert find(keys, b"two") == keys[1]
    assert find(keys, b"three") is None


def test_admin_includes_classify() -> None:
    """And not the other way round."""
    admin, classify = (Key("x", role, b"") for role in ("admin", "classify"))

    assert admin.may("classify")
    assert admin.may("admin")
    assert classify.may("classify")
    assert not classify.may("admin")


def test_a_new_key_is_long_and_its_line_is_read_again(tmp_path: Path) -> None:
    """256 random bits, never the same."""
    secret = new_key()
    key = Key("new", "classify", digest_of(secret), 20)

    assert len(secret) > 43
    assert secret != new_key()
    assert secret not in key.line()
    assert find(read(written(tmp_path, key.line())), secret.encode()) == key


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["one classify"], ":1: must be NAME ROLE SHA256"),
        (["# x", f"one root {DIGEST}"], ":2: role 'root'; there are classify, admin"),
        (["one classify abc"], ":1: must be NAME ROLE SHA256"),
        ([f"one classify {DIGEST} 10"], ":1: rate '10'; must be like 50/s"),
        ([f"one classify {DIGEST} 0/s"], ":1: rate '0/s'"),
        ([f"one classify {DIGEST}", f"one admin {OTHER}"], "name of key 'one' is there twice"),
        ([f"one classify {DIGEST}", f"two admin {DIGEST}"], "digest of key 'two' is there twice"),
        (["# nothing"], "holds no key"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_line(tmp_path: Path, lines: list[str], fault: str) -> None:
    """With the fault in the text."""
    with pytest.raises(InvalidKeyFile) as refused:
        read(written(tmp_path, *lines))

    assert fault in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the system's reason."""
    with pytest.raises(InvalidKeyFile, match="nowhere: cannot be read: No such file"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({b"authorization": b"Bearer one"}, b"one"),
        ({b"authorization": b"bearer  one "}, b"one"),
        ({b"x-api-key": b"one"}, b"one"),
        ({b"authorization": b"Bearer one", b"x-api-key": b"two"}, b"one"),
        ({b"authorization": b"Basic b25l", b"x-api-key": b"two"}, b"two"),
        ({b"authorization": b"Basic b25l"}, None),
        ({b"authorization": b"Bearer "}, None),
        ({b"x-api-key": b""}, None),
        ({}, None),
    ],
)
def test_a_key_is_taken_from_either_header(headers: dict[bytes, bytes], key: bytes | None) -> None:
    """Bearer first."""
    assert presented_in(headers) == key
