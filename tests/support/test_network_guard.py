import asyncio
import socket

import pytest

from tests.support.network_guard import OutsideAddressError

# RFC 5737 and RFC 3849 keep these for documentation: nobody is there, should the guard fail.
_OUTSIDE_V4 = "192.0.2.1"
_OUTSIDE_V6 = "2001:db8::1"


def test_a_test_cannot_connect_to_another_machine() -> None:
    with socket.socket() as client, pytest.raises(OutsideAddressError, match=_OUTSIDE_V4):
        client.connect((_OUTSIDE_V4, 9))


def test_a_test_cannot_send_a_datagram_to_another_machine() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as client, pytest.raises(OutsideAddressError):
        client.sendto(b"x", (_OUTSIDE_V4, 9))


def test_a_test_cannot_look_up_a_name() -> None:
    with pytest.raises(OutsideAddressError, match=r"faregate\.invalid"):
        socket.create_connection(("faregate.invalid", 9))


def test_a_test_cannot_leave_through_asyncio() -> None:
    async def leave() -> None:
        await asyncio.open_connection(_OUTSIDE_V6, 9)

    with pytest.raises(OutsideAddressError):
        asyncio.run(leave())


def test_a_test_cannot_listen_on_every_interface() -> None:
    with socket.socket() as server, pytest.raises(OutsideAddressError):
        server.bind(("0.0.0.0", 0))  # noqa: S104 - what the guard refuses


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_open(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection((host, server.getsockname()[1])).close()
