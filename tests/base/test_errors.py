import pytest

from faregate.base.errors import (
    ConfigurationError,
    Conflict,
    FaregateError,
    FieldFault,
    InvalidInput,
    NotFound,
    TooLarge,
    Unauthorized,
    Unavailable,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (InvalidInput, "invalid_input"),
        (NotFound, "not_found"),
        (Conflict, "conflict"),
        (Unauthorized, "unauthorized"),
        (TooLarge, "too_large"),
        (Unavailable, "unavailable"),
        (ConfigurationError, "configuration"),
    ],
)
def test_an_error_keeps_its_code(kind: type[FaregateError], code: str) -> None:
    assert kind.code == code
    assert issubclass(kind, FaregateError)


def test_invalid_input_names_every_field_that_is_wrong() -> None:
    faults = (
        FieldFault(field="name", message="must not be empty"),
        FieldFault(field="prices[0].amount", message="must be zero or more"),
    )
    error = InvalidInput(*faults)
    assert error.faults == faults
    assert str(error) == error.message == "name: must not be empty; prices[0].amount: must be zero or more"


def test_invalid_input_of_one_field_is_one_fault() -> None:
    assert InvalidInput.of("name", "must not be empty").faults == (
        FieldFault(field="name", message="must not be empty"),
    )


def test_not_found_says_what_is_missing() -> None:
    error = NotFound("plan", "pln_9")
    assert (error.kind, error.identifier) == ("plan", "pln_9")
    assert str(error) == "there is no plan 'pln_9'"


def test_a_conflict_says_where() -> None:
    error = Conflict("name", "is taken")
    assert (error.field, error.reason) == ("name", "is taken")
    assert str(error) == "name: is taken"


def test_an_error_speaks_its_message() -> None:
    error = Unavailable("the database did not answer")
    assert str(error) == error.message == "the database did not answer"
