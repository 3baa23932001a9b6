"""service/doctor/trial.py: a child of its own tries each."""

from pathlib import Path

from service import session
from service.doctor import trial
from service.settings import Settings
from tests.stores import make_store


def test_a_model_that_runs_is_no_finding(tmp_path: Path) -> None:
    """On the CPU, which is always there."""
    settings = Settings(model_store=make_store(tmp_path), provider="cpu")

    assert list(trial.on_provider(settings)) == []


def test_a_provider_that_cannot_run_it_is_named_with_the_reason(tmp_path: Path) -> None:
    """In one line, as the child said it, with what to do."""
    settings = Settings(model_store=make_store(tmp_path), provider="tensorrt")

    found = list(trial.on_provider(settings))

    assert len(found) == (not session.has_provider("tensorrt"))
    for finding in found:
        assert finding.where == "provider tensorrt"
        assert finding.what.startswith("lenet version 1 cannot run there: execution provider tensorrt")
        assert "CONVSERVE_PROVIDER=auto" in finding.mend


def test_what_never_comes_back_is_said(tmp_path: Path) -> None:
    """A driver that hangs."""
    settings = Settings(model_store=make_store(tmp_path), provider="cpu")

    (finding,) = trial.on_provider(settings, within_s=0.001)

    assert "nothing came back within 0.001 s" in finding.what


def test_an_empty_store_is_for_others_to_speak_of(tmp_path: Path) -> None:
    """There is nothing to try."""
    assert list(trial.on_provider(Settings(model_store=tmp_path, provider="cpu"))) == []
