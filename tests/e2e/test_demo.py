import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.command import clean_environment, command, faregate

LAST_LINE = "faregate demo --walkthrough"


@contextmanager
def running_demo(folder: Path) -> Iterator[str]:
    """Run `faregate demo` as a terminal would; yield its screen. Ends it by Ctrl-C and expects it to end well."""
    arguments = ("demo", "--port", "0", "--gateway-port", "0")
    process = subprocess.Popen(
        command(*arguments), cwd=folder, env=clean_environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        screen = ""
        while LAST_LINE not in screen:
            line = process.stdout.readline()
            assert line, f"the demo ended: {screen}"
            screen += line
        yield screen
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stdout is not None
        process.stdout.close()


def pasted(screen: str, first_word: str) -> list[str]:
    """The screen's paragraphs that begin with a word, as one pastes them."""
    return [part for part in screen.split("\n\n") if part.startswith(first_word)]


def run_curl(pasted_line: str) -> dict[str, Any]:
    """Do what curl would do with the line; the machine that tests need not have curl."""
    line = re.sub(r"\$\(cat ([^)]*)\)", lambda found: _content(shlex.split(found[1])[0]), pasted_line)
    # A shell joins a line that ends in a backslash with the next; shlex does not.
    words = iter(shlex.split(line.replace("\\\n", "")))
    assert (next(words), next(words)) == ("curl", "-s")
    url, headers, body = urlsplit(next(words)), {}, None
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        else:
            assert word == "-d"
            body = next(words)
    assert url.hostname is not None
    connection = HTTPConnection(url.hostname, url.port, timeout=20)
    try:
        connection.request("POST" if body else "GET", f"{url.path}?{url.query}".rstrip("?"), body, headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        found: dict[str, Any] = json.loads(answer.read())
        return found
    finally:
        connection.close()


def _content(path: str) -> str:
    return Path(path).read_text().strip()


def keys_of(screen: str) -> list[str]:
    return re.findall(r"^  (?:acme|globex) .*(fg_live_\S+)$", screen, re.MULTILINE)


def charges_once_there(pasted_line: str, number: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 10
    while True:
        charges = run_curl(pasted_line)["data"]
        if len(charges) >= number or time.monotonic() > deadline:
            assert isinstance(charges, list)
            return charges
        time.sleep(0.05)


def test_the_demos_screen_works_as_pasted_and_a_second_start_finds_everything_again(tmp_path: Path) -> None:
    with running_demo(tmp_path) as screen:
        assert len(set(keys_of(screen))) == 2
        call, charges = pasted(screen, "curl")
        answer = run_curl(call)
        assert answer["choices"][0]["message"]["content"]
        (snippet,) = pasted(screen, "from openai")
        said = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, timeout=60, check=True)
        assert said.stdout.strip() == answer["choices"][0]["message"]["content"]
        charged = charges_once_there(charges, 4)
        assert [charge["amount"] for charge in charged].count("0.00") == 2
        assert sorted(charge["amount"] for charge in charged)[2:] == ["0.50", "1.50"]
    kept = tmp_path / "faregate-demo" / "demo-keys"
    assert kept.stat().st_mode & 0o777 == 0o600
    with running_demo(tmp_path) as again:
        assert keys_of(again) == keys_of(screen)
        call, charges = pasted(again, "curl")
        assert run_curl(call)["choices"]
        assert len(charges_once_there(charges, 6)) == 6


def test_the_demo_keeps_out_of_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    data = tmp_path / "faregate-data"
    data.mkdir()
    (data / "faregate.sqlite3").touch()
    ended = faregate("demo", "--data", str(data), folder=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr == (
        f"faregate: the folder {data} holds something else; give the demo one of its own with --data\n"
    )
    assert [entry.name for entry in data.iterdir()] == ["faregate.sqlite3"]


def test_json_without_the_walkthrough_is_refused(tmp_path: Path) -> None:
    ended = faregate("demo", "--json", folder=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("faregate: json needs --walkthrough")


def test_the_walkthrough_reads_well_on_a_terminal_of_80_columns(tmp_path: Path) -> None:
    ended = faregate("demo", "--walkthrough", folder=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert max(len(line.rstrip()) for line in ended.stdout.splitlines()) <= 80
    assert "charged $0.50 for 400,000 input + $1.50 for 50,000 output" in ended.stdout
    assert "insufficient_quota / credit_balance_exhausted" in ended.stdout
    assert "insufficient_quota / invoice_overdue" in ended.stdout
    assert "✗" not in ended.stdout
    assert "each to the last digit of docs/walkthrough.md" in ended.stdout
    assert list(tmp_path.iterdir()) == []
