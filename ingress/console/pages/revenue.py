"""What came in, what is still expected or lost, and is it all explained? By period, as `kessai revenue` tells it."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from aiohttp import web

from ingress.console import spans, takings
from ingress.console.charts import Chart
from ingress.console.sections import Section, page
from ingress.console.shown import link
from ingress.console.takings import Read
from ingress.console.visit import Failed, Visit
from shared.ledger.database import TransientConflict
from shared.ledger.revenue import syncs
from shared.ledger.revenue.exposure import Exposure
from shared.ledger.revenue.lines import csv_lines, json_of
from shared.ledger.revenue.periods import InvalidPeriod, Period
from shared.ledger.revenue.report import Report
from shared.ledger.revenue.series import Course, Window

REFRESH_SECONDS: Final = 1
"""Until a page looks again for what is being added up."""
DIFFERENCES: Final = 20
"""That are listed; the JSON file has them all."""


class Extent(StrEnum):
    """What the charts show."""

    PERIOD = "period"
    YEAR = "year"


class Chosen(NamedTuple):
    """What somebody wants to see."""

    period: Period
    endpoint: str | None
    currency: str | None
    window: Window
    """Of the charts."""
    extent: Extent

    @classmethod
    def of(cls, visit: Visit, now: datetime) -> "Chosen":
        """Raises Failed."""
        period = _period(visit, now)
        return cls(period, visit.asked("endpoint"), visit.asked("currency"), *_window(visit, period, now))

    def address(self, period: Period | None = None, extent: Extent | None = None) -> str:
        """Of the same page with another choice."""
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
    chosen, reckoning = Chosen.of(visit, now), visit.services.reckoning
    report = reckoning.report(chosen.period, chosen.endpoint)
    course = reckoning.course(chosen.window, chosen.endpoint)
    exposures = reckoning.exposures(chosen.endpoint)
    before, after = spans.neighbours(chosen.period)
    frame: dict[str, Any] = {
        "chosen": chosen,
        "before": before,
        "after": after,
        "this_month": spans.month_of(now),
        "endpoints": sorted({*visit.services.shops, *([chosen.endpoint] if chosen.endpoint else [])}),
    }
    if not await reckoning.are_there(report, course, exposures):
        waiting = visit.page("revenue/waiting.html", **frame)
        waiting.headers["Refresh"] = str(REFRESH_SECONDS)
        return waiting
    found = report.result()
    read = await _read(visit, found, now)
    return visit.page(
        "revenue/show.html",
        **frame | _money(chosen, found, course) | _owed(visit, exposures.result()),
        alarms=takings.alarms(found, read, now=now),
        now=now,
        read=read,
        every=visit.services.revenue.reconcile_every,
    )


def _money(chosen: Chosen, report: Report, course: "asyncio.Task[Course]") -> dict[str, Any]:
    differences = takings.by_urgency(
        [each for each in report.differences if chosen.currency in (None, each.difference.currency)]
    )
    currencies = sorted(report.currencies.items())
    return {
        "report": report,
        "names": sorted({*report.currencies, *([chosen.currency] if chosen.currency else [])}),
        "currencies": [
            (name, each, takings.lines(each)) for name, each in currencies if chosen.currency in (None, name)
        ],
        "charts": _charts(course, chosen.window),
        "extents": list(Extent) if Window.of(chosen.period) else [Extent.YEAR],
        "differences": differences[:DIFFERENCES],
        "unlisted": max(0, len(differences) - DIFFERENCES),
        "reasons": takings.reasons_in_review(differences),
    }


def _owed(visit: Visit, found: Sequence[Exposure]) -> dict[str, Any]:
    warning = visit.services.revenue.exposure_warning
    return {
        "buyers": len(found),
        "owed": [(each, each.level(warning)) for each in found[: takings.BUYERS]],
        "owed_chart": takings.of_buyers(found, warning),
        "warning": warning,
    }


def _period(visit: Visit, now: datetime) -> Period:
    """Raises Failed."""
    text = visit.asked("period")
    if text is None:
        return spans.month_of(now)
    try:
        return Period.parse(text)
    except InvalidPeriod as error:
        headline, _, advice = str(error).partition(": ")
        raise Failed(400, headline, f"{advice[:1].upper()}{advice[1:]}.") from None


def _window(visit: Visit, period: Period, now: datetime) -> tuple[Window, Extent]:
    """What the charts cover: the period, or the twelve months up to its end, or to this one."""
    whole = Window.of(period) if visit.chosen("chart", Extent) != Extent.YEAR else None
    if whole is not None:
        return whole, Extent.PERIOD
    return Window.year_to(min(period.until, spans.month_of(now).until)), Extent.YEAR


async def _read(visit: Visit, report: Report, now: datetime) -> list[Read]:
    every = visit.services.revenue.reconcile_every
    async with visit.books() as connection:
        return [
            Read.of(name, await syncs.complete_as_of(connection, name), every=every, now=now)
            for name in report.endpoints
        ]


def _charts(course: "asyncio.Task[Course]", window: Window) -> Mapping[str, Chart] | None:
    """None when Postgres took too long over them: the figures stand without."""
    try:
        return takings.over_time(course.result(), window)
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
    return await asyncio.shield(visit.services.reckoning.report(period, visit.asked("endpoint")))


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
