"""Reports of usage to the billing provider."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.status_codes import HTTP_200_OK

from faregate.apps.api.billing import OfSubscription
from faregate.apps.api.call import Call
from faregate.apps.api.paging import Paging
from faregate.services.usage_reports import (
    list_usage_reports,
    resend_all_reports,
    resend_report,
    usage_report_view,
)
from faregate.wire.api.common import CursorNumber, Page
from faregate.wire.api.usage_reports import UsageReportsResent, UsageReportStatus, UsageReportView

OfStatus = Annotated[UsageReportStatus | None, QueryParameter(name="status", description="Only of this status.")]


@get("/usage-reports", summary="List usage reports", tags=["Billing"])
async def list_all_usage_reports(
    *,
    call: NamedDependency[Call],
    paging: NamedDependency[Paging],
    of_status: OfStatus = None,
    subscription_id: OfSubscription = None,
) -> Page[UsageReportView]:
    """What the billing provider is told of usage, a window at a time, oldest first, and what became of it."""
    (after,) = paging.place(tuple[CursorNumber]) or (0,)
    rows = await call.read(
        lambda tx: list_usage_reports(
            tx,
            call.application_id,
            status=of_status,
            subscription_id=subscription_id,
            after=after,
            limit=paging.rows,
        )
    )
    return paging.page(rows, lambda row: (row.outbox_id,), usage_report_view)


@post(
    "/usage-reports/{report_id:str}/resend", summary="Resend a usage report", tags=["Billing"], status_code=HTTP_200_OK
)
async def resend_usage_report(call: NamedDependency[Call], report_id: FromPath[str]) -> UsageReportView:
    """Send a report again: at once where it waits, under a new identifier where it was refused or lost."""
    return usage_report_view(await call.change(lambda tx, change: resend_report(tx, change, report_id)))


@post("/usage-reports/resend", summary="Resend failed usage reports", tags=["Billing"], status_code=HTTP_200_OK)
async def resend_usage_reports(call: NamedDependency[Call]) -> UsageReportsResent:
    """Send every report again that failed and may still be taken, as after what was wrong is mended."""
    return UsageReportsResent(resent=await call.change(resend_all_reports))


HANDLERS = [list_all_usage_reports, resend_usage_report, resend_usage_reports]
