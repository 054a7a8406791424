import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from faregate.apps.cli.main import FAILED, REFUSED, run
from faregate.apps.cli.up import UpSettings, children, settle


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def taken() -> Iterator[list[int]]:
    """Ports somebody listens on: a command that is told to use one says which it was told."""
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(3)]


def _said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(list(arguments)) == REFUSED
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_a_flag_wins_over_the_environment_and_that_over_the_file(
    taken: list[int], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flag, environment, file = taken
    (folder / "faregate.toml").write_text(f"port = {file}\n")
    assert f"port {file} of" in _said(capsys, "up")
    monkeypatch.setenv("FAREGATE_PORT", str(environment))
    assert f"port {environment} of" in _said(capsys, "up")
    assert f"port {flag} of" in _said(capsys, "up", "--port", str(flag))


@pytest.mark.parametrize("command", ["up", "gateway"])
def test_one_settings_file_serves_every_command(
    command: str, taken: list[int], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (
        f"gateway_port = {taken[0]}",
        "port = 0",
        'gateway_token = "t"',
        'control_plane_url = "http://127.0.0.1:1"',
    )
    (folder / "faregate.toml").write_text("\n".join(lines))
    assert f"port {taken[0]} of" in _said(capsys, command)


def test_another_settings_file_is_named_by_flag_or_environment(
    taken: list[int], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "other.toml").write_text(f"port = {taken[0]}\n")
    assert f"port {taken[0]} of" in _said(capsys, "--config", "other.toml", "up")
    assert f"port {taken[0]} of" in _said(capsys, "up", "--config", "other.toml")
    monkeypatch.setenv("FAREGATE_CONFIG", "other.toml")
    assert f"port {taken[0]} of" in _said(capsys, "up")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["up", "--port", "eighty"], ["--port", "eighty"]),
        (["up", "--port", "65536"], ["--port", "65535"]),
        (["serve", "--log-level", "loud"], ["--log-level", "loud", "warning"]),
        (["serve", "--prot", "1"], ["--prot", "--port"]),
        (["serve", "--database-url", "mysql://root:hush@db/x"], ["--database-url", "postgresql+psycopg://"]),
        (["gateway"], ["gateway_token", "gateway-token"]),
        (["apply", "-f", "catalog.yaml"], ["api_token", "cli-token"]),
        (["serv"], ["serv", "serve"]),
        (["up", "--config", "nowhere.toml"], ["nowhere.toml", "does not exist"]),
    ],
)
def test_a_wrong_flag_is_one_line_that_names_it(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    said = _said(capsys, *arguments)
    assert all(word in said for word in words), said
    assert "hush" not in said


def test_a_wrong_variable_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAREGATE_PORT", "eighty")
    assert "FAREGATE_PORT from env" in _said(capsys, "up")
    monkeypatch.delenv("FAREGATE_PORT")
    monkeypatch.setenv("FAREGATE_DATABASE_URL", "mysql://root:hush@db/x")
    said = _said(capsys, "serve")
    assert "FAREGATE_DATABASE_URL" in said
    assert "hush" not in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('port = "eighty"', ["[port]", "faregate.toml", "eighty"]),
        ("port = 65536", ["[port]", "faregate.toml", "65535"]),
        ("prot = 8080", ["'prot'", "faregate.toml", "port"]),
        ("port = = 1", ["faregate.toml", "line 1"]),
        ("dry_run = true", ["'dry_run'", "not a setting"]),
    ],
)
def test_a_wrong_line_of_the_file_is_one_line_that_names_it_and_the_file(
    text: str, words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "faregate.toml").write_text(text)
    said = _said(capsys, "up")
    assert all(word in said for word in words), said


def test_refused_and_failed_are_told_apart() -> None:
    assert (FAILED, REFUSED) == (1, 2)


def test_variables_of_flags_and_file_reach_the_gateway_that_up_starts(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "faregate.toml").write_text('[variable]\nAI_API_URL = "http://127.0.0.1:1"\n')
    started: list[UpSettings] = []
    monkeypatch.setattr("faregate.apps.cli.up.run_up", started.append)
    run(["up"])
    run(["up", "--variable.AI_API_URL", "http://127.0.0.1:2"])
    environments = [children(settle(settings))[1].environment for settings in started]
    assert [told["AI_API_URL"] for told in environments] == ["http://127.0.0.1:1", "http://127.0.0.1:2"]


@pytest.mark.parametrize("given", ["whsec_one, sk_test_two", "whsec_one,whsec_", "whsec_"])
def test_a_webhook_secret_that_is_none_is_refused_without_being_shown(
    given: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = _said(capsys, "up", "--stripe-webhook-secret", given)
    assert "whsec_" in said
    assert "sk_test_two" not in said


def test_the_stripe_key_of_the_environment_reaches_the_control_plane_and_is_in_no_text_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[UpSettings] = []
    monkeypatch.setattr("faregate.apps.cli.up.run_up", started.append)
    monkeypatch.setenv("FAREGATE_STRIPE_API_KEY", "rk_test_1")
    monkeypatch.setenv("FAREGATE_BILLING", "sandbox")
    run(["up", "--port", "0", "--gateway-port", "0"])
    serve, _ = children(settle(started[0]))
    assert serve.environment["FAREGATE_STRIPE_API_KEY"] == "rk_test_1"
    assert serve.environment["FAREGATE_BILLING"] == "sandbox"
    assert "rk_test_1" not in repr(started[0])
