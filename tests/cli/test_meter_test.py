from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from faregate.apps.cli.apply import run_apply
from faregate.apps.cli.main import run
from faregate.apps.cli.meter_backfill import run_meter_backfill
from faregate.apps.cli.meter_test import run_meter_test
from tests.control.control_plane import Handle
from tests.support.tree import ROOT

DRAFT = """\
name: Input Token Meter
filter_text: request.route == "/ai/chat" and response.status == 200
metric:
  type: sum
  field: response.body.usage.prompt_tokens
"""
FROM, TO = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC)


SEED_METER = "Input Token Meter"


def _try(control: Handle, file: Path, *, json: bool = False) -> int:
    assert control.running.first_secrets is not None
    token = control.running.first_secrets.api_token
    return run_meter_test(file, from_at=FROM, to_at=TO, api_url=control.running.origin, token=token, json=json)


def test_a_file_is_tried_and_what_came_of_it_is_shown(
    control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "meter.yaml"
    file.write_text(DRAFT)
    assert _try(control, file) == 0
    assert "0 events: 0 match, 0 do not" in capsys.readouterr().out
    assert _try(control, file, json=True) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["progress"]["total"] == 0


def test_a_fault_is_shown_with_its_line(control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "meter.yaml"
    file.write_text(DRAFT.replace("response.status ==", "response.status ="))
    assert _try(control, file) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"{file}:2: filter_text: column 49: expected one of")


@pytest.mark.parametrize("content", [None, "- a", "a: [", "a: 1\na: 2"])
def test_a_file_that_cannot_be_read_is_named(
    control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    file = tmp_path / "meter.yaml"
    if content is not None:
        file.write_text(content)
    assert _try(control, file) == 1
    assert str(file) in capsys.readouterr().err


def test_a_control_plane_that_does_not_answer_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "meter.yaml"
    file.write_text(DRAFT)
    for url in ("http://127.0.0.1:9", "nonsense"):
        assert run_meter_test(file, from_at=FROM, to_at=TO, api_url=url, token="t", json=False) == 1
        assert url in capsys.readouterr().err


def _fill(control: Handle, meter: str) -> int:
    assert control.running.first_secrets is not None
    token = control.running.first_secrets.api_token
    return run_meter_backfill(meter, from_at=FROM, to_at=TO, api_url=control.running.origin, token=token)


def test_a_meter_is_filled_by_its_name(control: Handle, capsys: pytest.CaptureFixture[str]) -> None:
    assert control.running.first_secrets is not None
    token = control.running.first_secrets.api_token
    catalog = ROOT / "examples" / "catalog.yaml"
    assert run_apply(catalog, api_url=control.running.origin, token=token, dry_run=False) == 0
    assert _fill(control, SEED_METER) == 0
    assert f"Read 0 events; {SEED_METER} counted 0 of them." in capsys.readouterr().out
    assert _fill(control, "No Such Meter") == 1
    assert "there is no meter 'No Such Meter'" in capsys.readouterr().err


def test_the_command_needs_a_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["meter", "test", "-f", "meter.yaml", "--from", "2026-03-01", "--to", "2026-04-01"]
    assert run([*arguments, "--data", str(tmp_path)]) == 2
    assert "api_token is not set" in capsys.readouterr().err
