import re
import socket
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from faregate.apps.cli.apply import run_apply
from faregate.apps.cli.catalog_file import read_catalog_file
from faregate.apps.story.seed import seed_catalog
from tests.control.control_plane import Handle
from tests.support.tree import ROOT

EXAMPLE = ROOT / "examples" / "catalog.yaml"


def _apply(control: Handle, file: Path, *, dry_run: bool = False) -> int:
    assert control.running.first_secrets is not None
    return run_apply(
        file, api_url=control.running.origin, token=control.running.first_secrets.api_token, dry_run=dry_run
    )


def _prices(control: Handle) -> list[tuple[str, str]]:
    assert control.running.first_secrets is not None
    token = control.running.first_secrets.api_token
    answer = control.ask("GET", "/api/v1/prices", authorization=f"Bearer {token}")
    data = msgspec.json.decode(answer.body)["data"]
    return [(price["name"], price["model"]["amount"]) for price in data]


def test_the_example_is_the_seed_case(control: Handle, capsys: pytest.CaptureFixture[str]) -> None:
    assert _apply(control, EXAMPLE, dry_run=True) == 0
    assert "Would create 8, update 0, keep 0 as they are. Nothing was changed." in capsys.readouterr().out
    assert _prices(control) == []
    assert _apply(control, EXAMPLE) == 0
    shown = capsys.readouterr().out
    assert re.search(r"\+ create plan +My AI API Plan\n", shown)
    assert "Created 8, updated 0, kept 0 as they are." in shown
    assert _prices(control) == [("Input Tokens", "0.50"), ("Output Tokens", "1.50")]
    assert _apply(control, EXAMPLE) == 0
    assert "Created 0, updated 0, kept 8 as they are." in capsys.readouterr().out


def test_the_demo_plays_on_the_example(control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = read_catalog_file(EXAMPLE).document
    demo = tmp_path / "demo.yaml"  # JSON is YAML
    demo.write_bytes(msgspec.json.encode(seed_catalog(upstream_url=example["routes"][0]["upstream_url"])))
    assert _apply(control, EXAMPLE) == _apply(control, demo) == 0
    assert capsys.readouterr().out.endswith("Created 0, updated 0, kept 8 as they are.\n")


def test_a_difference_is_shown_field_by_field(
    control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _apply(control, EXAMPLE) == 0
    file = tmp_path / "catalog.yaml"
    file.write_text("routes:\n  - {name: /ai/chat, upstream_url: 'http://127.0.0.1:9000/v1', on_abort: cancel}\n")
    assert _apply(control, file) == 0
    shown = capsys.readouterr().out
    assert re.search(r"~ update route +/ai/chat\n +on_abort: drain -> cancel\n", shown)
    assert shown.endswith("Created 0, updated 1, kept 0 as they are.\n")


def test_every_fault_is_one_plain_line_with_file_line_and_field(
    control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = EXAMPLE.read_text()
    file = tmp_path / "catalog.yaml"
    file.write_text(text.replace("amount: 0.50", "amount: -0.50").replace("pattern: /ai/chat", "pattern: '('", 1))
    assert _apply(control, file) == 1
    told = capsys.readouterr().err.splitlines()
    amount_line = text[: text.index("amount: 0.50")].count("\n") + 1
    pattern_line = text[: text.index("pattern: /ai/chat")].count("\n") + 1
    assert [line.partition(": must")[0].partition(": '('")[0] for line in told] == [
        f"{file}:{amount_line}: plans[0].prices[0].model.amount",
        f"{file}:{pattern_line}: rules[0].block_what[0].pattern",
    ]
    assert _prices(control) == []


def test_a_field_of_the_wrong_kind_or_none_at_all_has_its_line(
    control: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "catalog.yaml"
    for text, told in (
        ("plans:\n  - name: 7\n", f"{file}:2: plans[0].name: Expected `str`, got `int`\n"),
        ("plans:\n  - {}\n", f"{file}:2: plans[0].name: is required\n"),
        ("plan: []\n", f"{file}:1: plan: is not a field here\n"),
    ):
        file.write_text(text)
        assert _apply(control, file) == 1
        assert capsys.readouterr().err == told


def test_a_file_that_is_no_yaml_is_told_by_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text("plans: []\nplans: []\n")
    assert run_apply(file, api_url="http://127.0.0.1:1", token="x", dry_run=False) == 1
    assert capsys.readouterr().err == f"{file}:2: 'plans' is there twice\n"


def test_a_wrong_token_is_told_in_one_line(control: Handle, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_apply(EXAMPLE, api_url=control.running.origin, token="wrong", dry_run=False) == 1
    assert capsys.readouterr().err == f"{EXAMPLE}: the API token is unknown\n"


def test_a_token_that_no_header_can_hold_is_told_by_its_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_apply(EXAMPLE, api_url="http://127.0.0.1:1", token="a\nb", dry_run=False) == 1
    assert capsys.readouterr().err == "api_token: has characters that no token has\n"


def test_a_control_plane_that_is_away_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert run_apply(EXAMPLE, api_url=url, token="x", dry_run=False) == 1
    assert capsys.readouterr().err.startswith(f"the control plane at {url} did not answer as expected: ")


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "", "http://", "http://x:y", "ftp://x"])
def test_an_address_that_is_none_is_told_by_its_setting(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_apply(EXAMPLE, api_url=url, token="x", dry_run=False) == 1
    assert capsys.readouterr().err.startswith(f"api_url: {url!r} is not a URL")


def test_an_answer_that_is_not_faregates_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    class Stranger(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert run_apply(EXAMPLE, api_url=url, token="x", dry_run=False) == 1
        server.shutdown()
        thread.join()
    assert capsys.readouterr().err.count("\n") == 1
