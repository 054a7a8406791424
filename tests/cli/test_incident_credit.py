from pathlib import Path

import msgspec
import pytest

from faregate.apps.cli.incident_credit import Step, run_incident_credit
from faregate.apps.cli.main import run
from tests.control.control_plane import Handle

FILE = """\
id: outage
filter_text: response.status == 200
from: 2026-03-10T11:00:00Z
to: 2026-03-10T13:00:00Z
percent: 50
reason: upstream outage
"""


def _credit(control: Handle, file: Path, step: Step = Step.SHOW, *, json: bool = False) -> int:
    assert control.running.first_secrets is not None
    token = control.running.first_secrets.api_token
    return run_incident_credit(file, step=step, api_url=control.running.origin, token=token, json=json)


def test_an_incident_is_shown_applied_and_undone(
    control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "incident.yaml"
    file.write_text(FILE)
    for step, status in ((Step.SHOW, "draft"), (Step.APPLY, "applied"), (Step.UNDO, "undone")):
        assert _credit(control, file, step) == 0
        assert f"outage ({status}): 0 calls match. upstream outage" in capsys.readouterr().out
    assert _credit(control, file, json=True) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["incident"]["percent"] == "50"


def test_a_fault_is_shown_with_its_line(control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "incident.yaml"
    file.write_text(FILE.replace("percent: 50", "percent: 500"))
    assert _credit(control, file) == 1
    assert capsys.readouterr().err.startswith(f"{file}:5: percent: must be above 0")
    file.write_text(FILE)
    assert _credit(control, file, Step.UNDO) == 1
    assert "draft, not applied" in capsys.readouterr().err
    file.write_text("- a")
    assert _credit(control, file) == 1
    for url in ("http://127.0.0.1:9", "nonsense"):
        file.write_text(FILE)
        assert run_incident_credit(file, step=Step.SHOW, api_url=url, token="t", json=False) == 1
        assert url in capsys.readouterr().err


def test_giving_and_taking_back_exclude_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["incident-credit", "-f", str(tmp_path / "x"), "--apply", "--undo", "--api-token", "t"]) == 2
    assert "exclude each other" in capsys.readouterr().err
