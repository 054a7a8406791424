"""Gateways: when each was last there, what it holds, and what becomes of that when it does not come back."""

from __future__ import annotations

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK

from faregate.apps.api.call import Call
from faregate.services.lost_gateways import GatewayStanding, read_standings, settle_lost
from faregate.wire.api.gateways import GatewayList, GatewaySettle, GatewayView


@get("/gateways", summary="List gateways", tags=["Gateways"])
async def list_all_gateways(call: NamedDependency[Call]) -> GatewayList:
    """Gateways by id, connected or not, and what their leases hold."""
    now = call.backend.clock.now()
    found = await call.read(lambda tx: read_standings(tx, wall_now=now))
    return GatewayList(data=[_view(standing) for standing in found])


@post("/gateways/{gateway_id:str}/settle", summary="Settle a lost gateway", tags=["Gateways"], status_code=HTTP_200_OK)
async def settle_gateway(
    call: NamedDependency[Call], gateway_id: FromPath[str], data: JSONBody[GatewaySettle]
) -> GatewayView:
    """Release or charge what a gateway holds that does not come back, and fence it. Refused while it is connected."""
    clock = call.backend.clock
    return _view(await call.change(lambda tx, _: settle_lost(tx, clock=clock, gateway_id=gateway_id, units=data.units)))


def _view(standing: GatewayStanding) -> GatewayView:
    row = standing.row
    return GatewayView(
        gateway_id=row.gateway_id,
        epoch=row.epoch,
        connected=standing.is_connected,
        seen_at=row.seen_at,
        applied_sequence=row.applied_sequence,
        settles_through=row.release_through,
        units=standing.units,
        suspended=dict(standing.suspended),
    )


HANDLERS = [list_all_gateways, settle_gateway]
