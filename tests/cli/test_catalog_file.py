from itertools import pairwise
from pathlib import Path

import pytest

from faregate.apps.cli.catalog_file import CatalogFileError, read_catalog_file

# Each line holds the one before ten times.
BOMB = "a: &a [1]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in pairwise("abcdefgh")
)


def _file(folder: Path, text: str | bytes) -> Path:
    path = folder / "catalog.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_number_with_a_point_stays_the_text_it_is_and_a_whole_one_is_a_number(tmp_path: Path) -> None:
    path = _file(tmp_path, "a: 0.50\nb: 1000000\nc: -3\nd: 1e6\ne: 0123\nf: 0x10\ng: 1_000\nh: '5'\ni: .inf\n")
    assert read_catalog_file(path).document == {
        "a": "0.50",
        "b": 1000000,
        "c": -3,
        "d": "1e6",
        "e": "0123",
        "f": "0x10",
        "g": "1_000",
        "h": "5",
        "i": ".inf",
    }


def test_only_true_and_false_are_truth_values_and_a_date_is_text(tmp_path: Path) -> None:
    path = _file(tmp_path, "a: no\nb: true\nc: 2026-03-01T00:00:00Z\nd: null\ne:\nf: ~\ng: False\nh: 12:30\n")
    assert read_catalog_file(path).document == {
        "a": "no",
        "b": True,
        "c": "2026-03-01T00:00:00Z",
        "d": None,
        "e": None,
        "f": None,
        "g": "False",
        "h": "12:30",
    }


def test_every_field_has_its_line_and_a_missing_one_that_of_what_is_around_it(tmp_path: Path) -> None:
    path = _file(tmp_path, "# prices\nplans:\n  - name: A\n    prices:\n      - name: B\n        model: {amount: 1}\n")
    catalog = read_catalog_file(path)
    assert catalog.line_of("plans[0].name") == 3
    assert catalog.line_of("plans[0].prices[0].model.amount") == 6
    assert catalog.line_of("plans[0].prices[0].model.size") == 6
    assert catalog.line_of("plans[0].prices[0].currency") == 5
    assert catalog.line_of("plans[0].prices[7].name") == 4
    assert catalog.line_of("meters[0].name") is None


def test_an_alias_repeats_what_it_names(tmp_path: Path) -> None:
    path = _file(tmp_path, "a: &it {x: [1, 2]}\nb: *it\n")
    assert read_catalog_file(path).document == {"a": {"x": [1, 2]}, "b": {"x": [1, 2]}}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("plans: [\n", 2, "is not YAML"),
        ("a: 1\na: 2\n", 2, "'a' is there twice"),
        ("a: 1\n? [x]\n: 2\n", 2, "a key must be text"),
        ("- a\n", 1, "must be a mapping"),
        ("", 1, "must be a mapping"),
        ("a: !!float 0.5\n", 1, "cannot be read as float"),
        ("a: !mine x\n", 1, "cannot be read as"),
        ("a: !!bool maybe\n", 1, "cannot be read as bool"),
        ("a: !!int x\n", 1, "cannot be read as int"),
        ("a: 9999999999999999999\n", 1, "cannot be read as int"),
        ("a: &a [*a]\n", 1, "repeats itself"),
        (BOMB, None, "repeats itself"),
        (b"a: \xff\n", None, "is not UTF-8"),
        ("a: \x00\n", None, "is not YAML"),
        ("#" * ((1 << 20) + 1), None, "more than 1048576 bytes"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(
    tmp_path: Path, text: str | bytes, line: int | None, words: str
) -> None:
    with pytest.raises(CatalogFileError, match=words) as told:
        read_catalog_file(_file(tmp_path, text))
    if line is not None:
        assert told.value.line == line


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CatalogFileError, match="cannot be read: No such file"):
        read_catalog_file(tmp_path / "missing.yaml")
