"""`faregate rerate`, against a control plane."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from faregate.apps.cli.apply import run_apply
from faregate.apps.cli.rerate import run_rerate
from tests.control.control_plane import Handle

CATALOG = """\
plans:
  - name: Plan
    prices:
      - {name: Seats, model: {type: flat, amount: "7"}, currency: USD}
"""


def test_a_correction_is_shown_applied_and_its_faults_are_named_by_line(
    control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert control.running.first_secrets is not None
    token, origin = control.running.first_secrets.api_token, control.running.origin
    catalog, file = tmp_path / "catalog.yaml", tmp_path / "correction.yaml"
    catalog.write_text(CATALOG)
    assert run_apply(catalog, api_url=origin, token=token, dry_run=False) == 0
    now = datetime.now(UTC).isoformat()
    file.write_text(f'from: {now}\nprice:\n  plan: Plan\n  price: Seats\n  model: {{type: flat, amount: "8"}}\n')
    capsys.readouterr()
    assert run_rerate(file, apply=False, api_url=origin, token=token, json=False) == 0
    assert "Nothing changes." in capsys.readouterr().out
    assert run_rerate(file, apply=True, api_url=origin, token=token, json=True) == 0
    assert msgspec.json.decode(capsys.readouterr().out)["rerating"]["status"] == "applied"
    file.write_text(f"from: {now}\nmeter:\n  meter: None\n")
    assert run_rerate(file, apply=False, api_url=origin, token=token, json=False) == 1
    assert f"{file}:3: meter.meter: there is no meter" in capsys.readouterr().err
    assert run_rerate(tmp_path / "none.yaml", apply=False, api_url=origin, token=token, json=False) == 1
    assert run_rerate(file, apply=False, api_url="nowhere", token=token, json=False) == 1
