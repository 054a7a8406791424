from faregate.domain.billing.provider_links import LinkKind, ProviderLink, ProviderLinks, price_link_id

KNOWN = ProviderLink(kind=LinkKind.CUSTOMER, our_id="com_1", provider_id="cus_1")


def test_what_is_known_is_found_by_its_kind_and_our_id_alone() -> None:
    links = ProviderLinks([KNOWN])
    assert links.find(LinkKind.CUSTOMER, "com_1") == "cus_1"
    assert links.find(LinkKind.PRODUCT, "com_1") is None


def test_a_link_that_was_made_is_found_and_told_once() -> None:
    links = ProviderLinks([KNOWN])
    links.add(LinkKind.CUSTOMER, "com_1", "cus_1")
    links.add(LinkKind.PRICE, "prc_1", "price_1")
    links.add(LinkKind.PRICE, "prc_1", "price_1")
    assert links.find(LinkKind.PRICE, "prc_1") == "price_1"
    assert links.made == [ProviderLink(kind=LinkKind.PRICE, our_id="prc_1", provider_id="price_1")]


def test_a_thing_that_is_another_object_now_is_linked_anew() -> None:
    links = ProviderLinks([KNOWN])
    links.add(LinkKind.CUSTOMER, "com_1", "cus_2")
    assert links.find(LinkKind.CUSTOMER, "com_1") == "cus_2"
    assert [link.provider_id for link in links.made] == ["cus_2"]


def test_a_price_is_linked_by_currency() -> None:
    assert price_link_id("prc_1", "USD") != price_link_id("prc_1", "EUR")
