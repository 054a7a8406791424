"""Applications bill through the account of Stripe's that they did first, in its mode."""

import pytest

from faregate.base.errors import ConfigurationError
from faregate.services.claim_account import claim_account, require_mode
from tests.services.world import World


def claim(world: World, account: str = "acct_1", *, is_live: bool = False) -> None:
    with world.database.begin() as transaction:
        claim_account(transaction, account=account, is_live=is_live)


def require(world: World, *, is_live: bool | None) -> None:
    with world.database.begin() as transaction:
        require_mode(transaction, is_live=is_live)


@pytest.mark.parametrize("is_live", [None, False, True])
def test_before_the_first_key_any_will_do_and_none_too(world: World, *, is_live: bool | None) -> None:
    require(world, is_live=is_live)


def test_the_same_account_may_be_used_again(world: World) -> None:
    claim(world)
    claim(world)
    require(world, is_live=False)


@pytest.mark.parametrize("is_live", [None, True])
def test_a_key_of_the_other_mode_and_none_at_all_are_refused(world: World, *, is_live: bool | None) -> None:
    claim(world)
    with pytest.raises(ConfigurationError, match=r"app_1 bills .*test mode"):
        require(world, is_live=is_live)


def test_a_key_of_another_account_is_refused_by_both_names(world: World) -> None:
    claim(world)
    with pytest.raises(ConfigurationError, match="account acct_2, and app_1 bills through acct_1"):
        claim(world, "acct_2")
