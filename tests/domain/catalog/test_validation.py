from decimal import Decimal

import pytest

from faregate.base.errors import FieldFault, InvalidInput
from faregate.base.limits import MAX_AMOUNT_PLACES, MAX_NAME_CHARACTERS, MAX_PACKAGE_AMOUNT, MAX_PACKAGE_SIZE
from faregate.base.money import currency, to_ledger_units
from faregate.domain.catalog.price import Package
from faregate.domain.catalog.validation import name_faults, package_faults, require


def faulty_fields(amount: str = "0.50", size: str = "1000000") -> list[str]:
    return [fault.field for fault in package_faults("model", Package(amount=Decimal(amount), size=Decimal(size)))]


@pytest.mark.parametrize("name", ["", " ", "\t\n"])
def test_a_name_must_not_be_empty(name: str) -> None:
    assert name_faults("name", name) == [FieldFault(field="name", message="must not be empty")]


def test_a_name_may_be_as_long_as_the_limit_and_not_one_longer() -> None:
    assert name_faults("name", "x" * MAX_NAME_CHARACTERS) == []
    assert [fault.field for fault in name_faults("name", "x" * (MAX_NAME_CHARACTERS + 1))] == ["name"]


@pytest.mark.parametrize("amount", ["0", "-0", "0.50", "0.000000000001", "1e-12", "1E+3", "0.5000000000000000000000"])
def test_an_amount_from_zero_with_twelve_places_is_right(amount: str) -> None:
    assert faulty_fields(amount=amount) == []


@pytest.mark.parametrize(
    "amount", ["-0.01", "NaN", "sNaN", "Infinity", "-Infinity", "1e999999", "1e999999999999", "1" * 200]
)
def test_an_amount_that_is_no_price_is_refused(amount: str) -> None:
    assert faulty_fields(amount=amount) == ["model.amount"]


@pytest.mark.parametrize(
    "amount", ["0.0000000000001", "0.5000000000000000000000000000000001", "1e-999999", "0." + "1" * 500]
)
def test_an_amount_of_more_than_twelve_places_is_refused(amount: str) -> None:
    faults = package_faults("model", Package(amount=Decimal(amount), size=Decimal(1)))
    assert [(fault.field, fault.message) for fault in faults] == [
        ("model.amount", f"must have at most {MAX_AMOUNT_PLACES} decimal places")
    ]


def test_an_amount_may_be_as_large_as_the_limit_and_not_larger() -> None:
    assert faulty_fields(amount=str(MAX_PACKAGE_AMOUNT)) == []
    assert faulty_fields(amount=f"{MAX_PACKAGE_AMOUNT}.000000000001") == ["model.amount"]


@pytest.mark.parametrize("code", ["USD", "JPY", "KWD", "IDR"])
def test_the_largest_amount_fits_the_ledger_in_every_kind_of_currency(code: str) -> None:
    assert to_ledger_units(Decimal(MAX_PACKAGE_AMOUNT), currency(code)) > 0


@pytest.mark.parametrize("size", ["1", "1000000", "1.0", "1E+6"])
def test_a_size_is_a_whole_number_above_zero(size: str) -> None:
    assert faulty_fields(size=size) == []


@pytest.mark.parametrize("size", ["0", "-1", "0.5", "1000000.5", "1e-999999", "NaN", "sNaN", "Infinity", "1e999999"])
def test_any_other_size_is_refused(size: str) -> None:
    assert faulty_fields(size=size) == ["model.size"]


def test_a_size_may_be_as_large_as_the_limit_and_not_larger() -> None:
    assert faulty_fields(size=str(MAX_PACKAGE_SIZE)) == []
    assert faulty_fields(size=str(MAX_PACKAGE_SIZE + 1)) == ["model.size"]


def test_a_package_names_all_its_faults_at_once() -> None:
    assert faulty_fields(amount="-1", size="0") == ["model.amount", "model.size"]


def test_require_raises_every_fault_of_every_group() -> None:
    one, other = FieldFault(field="name", message="a"), FieldFault(field="model.size", message="b")
    with pytest.raises(InvalidInput) as refused:
        require([one], [], [other])
    assert refused.value.faults == (one, other)


def test_require_lets_pass_what_has_no_fault() -> None:
    require([], [])
