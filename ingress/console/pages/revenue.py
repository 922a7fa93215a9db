"""The revenue of a period: received, expected, lost and unexplained money, as `kessai revenue` reports it."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from aiohttp import web

from ingress.console import neighbouring_periods, revenue_charts
from ingress.console.charts import Chart
from ingress.console.formats import link
from ingress.console.revenue_charts import Read
from ingress.console.sections import Section, page
from ingress.console.visit import Failed, Visit
from shared.ledger.database import TransientConflict
from shared.ledger.revenue import syncs
from shared.ledger.revenue.exposure import Exposure
from shared.ledger.revenue.lines import csv_lines, json_of
from shared.ledger.revenue.periods import InvalidPeriod, Period
from shared.ledger.revenue.report import Report
from shared.ledger.revenue.series import Course, Window

REFRESH_SECONDS: Final = 1
"""After which the page is loaded again while a report is being computed."""
DIFFERENCES: Final = 20
"""The most differences that are listed; the JSON file has all."""


class Extent(StrEnum):
    """The time that the charts cover."""

    PERIOD = "period"
    YEAR = "year"


class Chosen(NamedTuple):
    """The period, endpoint and currency that are chosen."""

    period: Period
    endpoint: str | None
    currency: str | None
    window: Window
    """The time window of the charts."""
    extent: Extent

    @classmethod
    def of(cls, visit: Visit, now: datetime) -> "Chosen":
        """Raises Failed."""
        period = _period(visit, now)
        return cls(period, visit.query("endpoint"), visit.query("currency"), *_window(visit, period, now))

    def address(self, period: Period | None = None, extent: Extent | None = None) -> str:
        """The address of the same page with another choice."""
        return link(
            "/revenue",
            period=(period or self.period).name,
            endpoint=self.endpoint,
            currency=self.currency,
            chart=None if (extent or self.extent) is Extent.PERIOD else Extent.YEAR,
        )

    def file(self, form: str) -> str:
        return link(f"/revenue/report.{form}", period=self.period.name, endpoint=self.endpoint)


async def show(visit: Visit) -> web.Response:
    now = datetime.now(UTC)
    chosen, reports = Chosen.of(visit, now), visit.services.reports
    report = reports.report(chosen.period, chosen.endpoint)
    course = reports.course(chosen.window, chosen.endpoint)
    exposures = reports.exposures(chosen.endpoint)
    before, after = neighbouring_periods.neighbours(chosen.period)
    frame: dict[str, Any] = {
        "chosen": chosen,
        "before": before,
        "after": after,
        "this_month": neighbouring_periods.month_of(now),
        "endpoints": sorted({*visit.services.shops, *([chosen.endpoint] if chosen.endpoint else [])}),
    }
    if not await reports.are_done(report, course, exposures):
        waiting = visit.page("revenue/waiting.html", **frame)
        waiting.headers["Refresh"] = str(REFRESH_SECONDS)
        return waiting
    found = report.result()
    read = await _read(visit, found, now)
    return visit.page(
        "revenue/show.html",
        **frame | _money(chosen, found, course) | _owed(visit, exposures.result()),
        alarms=revenue_charts.alarms(found, read, now=now),
        now=now,
        read=read,
        every=visit.services.revenue.reconcile_every,
    )


def _money(chosen: Chosen, report: Report, course: "asyncio.Task[Course]") -> dict[str, Any]:
    differences = revenue_charts.by_urgency(
        [each for each in report.differences if chosen.currency in (None, each.difference.currency)]
    )
    currencies = sorted(report.currencies.items())
    return {
        "report": report,
        "names": sorted({*report.currencies, *([chosen.currency] if chosen.currency else [])}),
        "currencies": [
            (name, each, revenue_charts.lines(each)) for name, each in currencies if chosen.currency in (None, name)
        ],
        "charts": _charts(course, chosen.window),
        "extents": list(Extent) if Window.of(chosen.period) else [Extent.YEAR],
        "differences": differences[:DIFFERENCES],
        "unlisted": max(0, len(differences) - DIFFERENCES),
        "reasons": revenue_charts.reasons_in_review(differences),
    }


def _owed(visit: Visit, found: Sequence[Exposure]) -> dict[str, Any]:
    warning = visit.services.revenue.exposure_warning
    return {
        "buyers": len(found),
        "owed": [(each, each.level(warning)) for each in found[: revenue_charts.BUYERS]],
        "owed_chart": revenue_charts.of_buyers(found, warning),
        "warning": warning,
    }


def _period(visit: Visit, now: datetime) -> Period:
    """Raises Failed."""
    text = visit.query("period")
    if text is None:
        return neighbouring_periods.month_of(now)
    try:
        return Period.parse(text)
    except InvalidPeriod as error:
        headline, _, advice = str(error).partition(": ")
        raise Failed(400, headline, f"{advice[:1].upper()}{advice[1:]}.") from None


def _window(visit: Visit, period: Period, now: datetime) -> tuple[Window, Extent]:
    """The window of the charts: the period, or the twelve months up to its end or to this month."""
    whole = Window.of(period) if visit.chosen("chart", Extent) != Extent.YEAR else None
    if whole is not None:
        return whole, Extent.PERIOD
    return Window.year_to(min(period.until, neighbouring_periods.month_of(now).until)), Extent.YEAR


async def _read(visit: Visit, report: Report, now: datetime) -> list[Read]:
    every = visit.services.revenue.reconcile_every
    async with visit.books() as connection:
        return [
            Read.of(name, await syncs.complete_as_of(connection, name), every=every, now=now)
            for name in report.endpoints
        ]


def _charts(course: "asyncio.Task[Course]", window: Window) -> Mapping[str, Chart] | None:
    """The charts by currency; None when Postgres took too long for them. The figures are complete without them."""
    try:
        return revenue_charts.over_time(course.result(), window)
    except TransientConflict:
        return None


async def download_csv(visit: Visit) -> web.Response:
    report = await _report(visit)
    return _file(report, csv_lines(report), "text/csv", "csv")


async def download_json(visit: Visit) -> web.Response:
    report = await _report(visit)
    return _file(report, json_of(report), "application/json", "json")


async def _report(visit: Visit) -> Report:
    """Raises Failed and what connected() raises."""
    period = _period(visit, datetime.now(UTC))
    return await asyncio.shield(visit.services.reports.report(period, visit.query("endpoint")))


def _file(report: Report, body: bytes, media_type: str, form: str) -> web.Response:
    name = "".join(each if each.isalnum() else "-" for each in report.period.name)
    headers = {"Content-Disposition": f'attachment; filename="kessai-revenue-{name}.{form}"'}
    return web.Response(body=body, content_type=media_type, charset="utf-8", headers=headers)


SECTION = Section(
    "Revenue",
    "/revenue",
    (
        page("/revenue", show),
        page("/revenue/report.csv", download_csv),
        page("/revenue/report.json", download_json),
    ),
)
