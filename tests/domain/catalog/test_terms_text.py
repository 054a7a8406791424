from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faregate.base.money import currency
from faregate.domain.catalog.models import PerUnit
from faregate.domain.catalog.price import Price
from faregate.domain.catalog.terms_text import read_terms, write_terms
from faregate.domain.catalog.versions import Terms
from tests.builders import priced
from tests.domain.pricing.models import MODELS, percentages, prices_of, table_prices

USD, EUR = currency("USD"), currency("EUR")
every_price = st.sampled_from([*MODELS]).flatmap(prices_of) | table_prices | percentages.map(priced)


@given(every_price, every_price)
def test_terms_come_back_as_they_were_written(one: Price, other: Price) -> None:
    terms = {
        EUR: Terms(model=one.model, adjustments=one.adjustments),
        USD: Terms(model=other.model, adjustments=other.adjustments),
    }
    text = write_terms(terms)
    assert read_terms(text) == terms
    assert list(read_terms(text)) == [EUR, USD]
    assert write_terms(read_terms(text)) == text


def test_a_numeral_stays_as_it_is_written() -> None:
    text = write_terms({USD: Terms(model=PerUnit(amount=Decimal("0.50")))})
    assert text == '{"USD":{"model":{"type":"per_unit","amount":"0.50"}}}'


def test_a_model_that_nobody_knows_is_said_so() -> None:
    with pytest.raises(ValueError, match="barter"):
        read_terms('{"USD":{"model":{"type":"barter"}}}')
