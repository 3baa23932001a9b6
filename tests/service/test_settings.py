"""service/settings.py."""

from pathlib import Path

import pytest

from service.settings import InvalidSettings, read_settings


def test_the_defaults_serve_the_model_that_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has to be set."""
    settings = read_settings()

    assert (settings.model_store / "lenet" / "1" / "model.onnx").is_file()
    assert settings.decode_limits.formats == {"JPEG", "PNG", "WEBP"}
    assert settings.threads_per_worker >= 1
    monkeypatch.setenv("CONVSERVE_WORKERS", "200")
    assert read_settings().threads_per_worker == 1


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, paths, choices and sets."""
    monkeypatch.setenv("CONVSERVE_MAX_BATCH_SIZE", "8")
    monkeypatch.setenv("CONVSERVE_MODEL_STORE", "/srv/models")
    monkeypatch.setenv("CONVSERVE_PROVIDER", "cuda")
    monkeypatch.setenv("CONVSERVE_EXTRA_FORMATS", "GIF, BMP")
    monkeypatch.setenv("CONVSERVE_TRUSTED_PROXIES", "10.0.0.0/8, ::1/128")

    settings = read_settings()

    assert settings.max_batch_size == 8
    assert settings.model_store == Path("/srv/models")
    assert settings.provider == "cuda"
    assert settings.decode_limits.formats == {"JPEG", "PNG", "WEBP", "GIF", "BMP"}
    assert {str(network) for network in settings.trusted_proxies} == {"10.0.0.0/8", "::1/128"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONVSERVE_MAX_BATCH_SIZE", "0"),
        ("CONVSERVE_MAX_BATCH_SIZE", "many"),
        ("CONVSERVE_PROVIDER", "gpu"),
        ("CONVSERVE_EXTRA_FORMATS", "TIFF"),
        ("CONVSERVE_EXTRA_FORMATS", "GIF,"),
        ("CONVSERVE_TRUSTED_PROXIES", "10.0.0.0/99"),
        ("CONVSERVE_DRAIN_DELAY_S", "-1"),
        ("CONVSERVE_WORKER", "2"),
    ],
)
def test_a_setting_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """A wrong value and a misspelt name alike, in one line."""
    monkeypatch.setenv(name, value)

    with pytest.raises(InvalidSettings) as refused:
        read_settings()

    assert str(refused.value).startswith(name)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "names"),
    [
        ("TLS_KEY", "key.pem", "CONVSERVE_TLS_CERTIFICATE and CONVSERVE_TLS_KEY: one needs the other"),
        ("TLS_CLIENT_CA", "ca.pem", "CONVSERVE_TLS_CLIENT_CA: needs CONVSERVE_TLS_CERTIFICATE"),
        ("KEY_RATE_PER_S", "5", "CONVSERVE_KEY_RATE_PER_S: needs CONVSERVE_KEYS_FILE"),
        ("PATH_PREFIX", "vision/", "CONVSERVE_PATH_PREFIX=vision/"),
        ("CORS_ORIGINS", "a.example", "CONVSERVE_CORS_ORIGINS=a.example"),
    ],
)
def test_settings_that_do_not_go_together_are_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, names: str
) -> None:
    """In one line, like values that cannot be."""
    monkeypatch.setenv(f"CONVSERVE_{name}", value)

    with pytest.raises(InvalidSettings) as refused:
        read_settings()

    assert names in str(refused.value)


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """As formats are."""
    monkeypatch.setenv("CONVSERVE_CORS_ORIGINS", "https://a.example, http://localhost:8000")

    assert read_settings().cors_origins == ("https://a.example", "http://localhost:8000")
