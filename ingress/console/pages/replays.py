"""Replays: the plan with the predicted outcomes, and the job that is started, watched and paused."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from aiohttp import web

from ingress.console import cursors
from ingress.console.forms import FRESH, Returned
from ingress.console.messages import explained
from ingress.console.plans import TooManyPlans
from ingress.console.replay_progress import EVERY, WATCHED, progress_of
from ingress.console.sections import Section, act, page
from ingress.console.visit import Tone, Visit, not_found
from shared.errors import KessaiError
from shared.ledger import audit, notes
from shared.ledger.books import Outcome
from shared.ledger.notes import InvalidNote, NoteThing
from shared.ledger.replays import items, jobs
from shared.ledger.replays.jobs import Act, NotPossibleNow, ReplayChanged, ReplayNotFound, ReplayState, Terms
from shared.ledger.replays.plans import BeyondHorizon, NothingToReplay
from shared.ledger.replays.selection import EmptyFilter, Selection, Source
from shared.ledger.replays.terms import (
    DEFAULT_CANARY,
    USUAL_RATE,
    USUAL_STOP_ON_FAIL,
    InvalidTerms,
    parse_rate,
    parse_share,
)
from shared.ledger.slices import Slice
from shared.ledger.text import InvalidWhy

USUAL: Final = {"canary": str(DEFAULT_CANARY), "rate": USUAL_RATE, "stop_on_fail": USUAL_STOP_ON_FAIL}
"""What the form that starts a replay holds at first."""
MAX_CANARY: Final = 100_000
STREAM_SECONDS: Final = 60.0
"""After which a browser must connect again, and is authenticated again."""
ACTS_SHOWN: Final = 50
ITEMS: Final = 20
"""Events on the page of a replay."""
HISTORY: Final = 20
"""Replays on a page: each one's events are counted."""
START = "start"
BACK: Final[Mapping[str, str]] = {
    Source.DEAD_LETTERS: "/dead-letters",
    Source.ARCHIVE: "/events",
    Source.REVIEWS: "/reviews",
}
"""Where somebody goes on when there was nothing to plan."""
FILTERS: Final = {
    "group": "groups",
    "reason": "reasons",
    "endpoint": "endpoints",
    "kind": "kinds",
    "event_id": "event_ids",
}
"""Fields of a form that asks for a plan, as a selection names them."""


async def history(visit: Visit) -> web.Response:
    before = visit.before(cursors.number)
    async with visit.books() as connection:
        rows = await jobs.newest(connection, limit=HISTORY + 1, before=before)
    older = rows[HISTORY - 1].plan_id if len(rows) > HISTORY else None
    return visit.page("replays/list.html", found=Slice(rows[:HISTORY], older))


async def make_plan(visit: Visit) -> web.Response:
    """Freeze what the form names and predict it; nothing is replayed yet."""
    form = await visit.form()
    back = BACK.get(form.get("source", ""), "/replays")
    try:
        plan_id = await visit.services.plans.begin(_selection(form), actor=visit.person.actor)
    except (NothingToReplay, BeyondHorizon, EmptyFilter, TooManyPlans) as error:
        return visit.to(back, message=f"{explained(error)} Nothing was planned.", tone=Tone.REFUSED)
    except ValueError:
        return visit.to(back, message="The form names no events. Nothing was planned.", tone=Tone.REFUSED)
    return visit.to(f"/replays/{plan_id}")


def _selection(form: Mapping[str, str]) -> Selection:
    """Raises EmptyFilter, and ValueError for a source that there is not."""
    given = {name: (form[field],) for field, name in FILTERS.items() if form.get(field)}
    return Selection(source=Source(form.get("source", "")), everything=form.get("everything") == "yes", **given)  # type: ignore[arg-type]


async def show(visit: Visit) -> web.Response:
    return await _page(visit, visit.number("replay_id"))


async def _page(visit: Visit, replay_id: int, *, back: Returned = FRESH, status: int = 200) -> web.Response:
    visit.path = f"/replays/{replay_id}"  # also when an act on it is answered by the page itself
    outcome = visit.chosen("outcome", Outcome)
    after = visit.before(cursors.number) or 0
    async with visit.books() as connection:
        try:
            job = await jobs.find(connection, replay_id)
        except ReplayNotFound:
            raise not_found(f"There is no replay {replay_id}") from None
        planned = await items.count_predicted(connection, replay_id) if job.state is ReplayState.PLANNING else 0
        rows = await items.list_items(connection, replay_id, limit=ITEMS + 1, after=after, outcome=outcome)
        acts = await audit.newest(connection, audit.ActFilter(subject=f"replay:{replay_id}"), limit=ACTS_SHOWN)
        noted = await notes.of(connection, NoteThing.REPLAY, str(replay_id))
    return visit.page(
        "replays/show.html",
        status=status,
        back=back,
        job=job,
        is_watched=job.state in WATCHED,
        progress=progress_of(job, planned=planned, now=datetime.now(UTC)),
        items=rows[:ITEMS],
        further=visit.older(rows[ITEMS - 1].item) if len(rows) > ITEMS else None,
        outcome=outcome,
        outcomes=list(Outcome),
        acts=acts,
        notes=noted,
        State=ReplayState,
        Act=Act,
        usual=USUAL,
        may={each: job.state in jobs.MOVES[each][0] for each in Act},
    )


async def start(visit: Visit) -> web.Response:
    replay_id, form = visit.number("replay_id"), await visit.form()
    terms, problems = _terms(form)
    if terms is None:
        return await _page(visit, replay_id, back=Returned(START, form, problems), status=400)
    try:
        async with visit.books() as connection:
            job = await jobs.start(connection, replay_id, terms, actor=visit.person.actor)
    except ReplayNotFound:
        raise not_found(f"There is no replay {replay_id}") from None
    except (NotPossibleNow, BeyondHorizon) as error:
        return _refused(visit, replay_id, error)
    visit.services.progress.forget(replay_id)
    return visit.to(f"/replays/{replay_id}", message=f"Replay {replay_id} of {job.total:,} events is started.")


def _terms(form: Mapping[str, str]) -> tuple[Terms | None, dict[str, str]]:
    """The terms of a form, or a sentence for each field that says none."""
    problems: dict[str, str] = {}
    canary = form.get("canary", "")
    if not (canary.isascii() and canary.isdigit() and len(canary) <= 6 and int(canary) <= MAX_CANARY):
        problems["canary"] = f"Write a number of events, from 0 to {MAX_CANARY:,}."
    rate: float | None = None
    share = 0.0
    try:
        rate = parse_rate(form.get("rate", ""))
    except InvalidTerms as error:
        problems["rate"] = explained(error)
    try:
        share = parse_share(form.get("stop_on_fail", ""))
    except InvalidTerms as error:
        problems["stop_on_fail"] = explained(error)
    try:
        terms = Terms(form.get("why", ""), int(canary) if "canary" not in problems else 0, rate, share)
    except InvalidWhy as error:
        problems["why"] = explained(error)
        return None, problems
    return None if problems else terms, problems


async def pause(visit: Visit) -> web.Response:
    return await _tell(visit, Act.PAUSE, "is paused. Events in flight are still processed")


async def resume(visit: Visit) -> web.Response:
    return await _tell(visit, Act.RESUME, "continues")


async def cancel(visit: Visit) -> web.Response:
    return await _tell(visit, Act.CANCEL, "is cancelled. What was processed stays as it is")


async def _tell(visit: Visit, what: Act, done: str) -> web.Response:
    replay_id = visit.number("replay_id")
    form = await visit.form()
    share = form.get("stop_on_fail")
    try:
        stop_on_fail = parse_share(share) if share is not None else None
        async with visit.books() as connection:
            await jobs.tell(
                connection, replay_id, what, actor=visit.person.actor, stop_on_fail=stop_on_fail, seen=form.get("seen")
            )
    except ReplayNotFound:
        raise not_found(f"There is no replay {replay_id}") from None
    except InvalidTerms as error:
        problems = {"stop_on_fail": explained(error)}
        return await _page(visit, replay_id, back=Returned(what, await visit.form(), problems), status=400)
    except (NotPossibleNow, ReplayChanged) as error:
        return _refused(visit, replay_id, error)
    visit.services.progress.forget(replay_id)
    return visit.to(f"/replays/{replay_id}", message=f"Replay {replay_id} {done}.")


def _refused(visit: Visit, replay_id: int, error: KessaiError) -> web.Response:
    return visit.to(f"/replays/{replay_id}", message=f"{explained(error)} Nothing was changed.", tone=Tone.REFUSED)


async def note(visit: Visit) -> web.Response:
    replay_id, form = visit.number("replay_id"), await visit.form()
    try:
        async with visit.books() as connection:
            await notes.add(
                connection, NoteThing.REPLAY, str(replay_id), form.get("body", ""), author=visit.person.actor
            )
    except InvalidNote as error:
        back = Returned("note", form, {"body": explained(error)})
        return await _page(visit, replay_id, back=back, status=400)
    return visit.to(f"/replays/{replay_id}", message="The note is saved.")


async def progress(visit: Visit) -> web.StreamResponse:
    """Server-sent events: the progress of the job, once a second, until it ends or is paused."""
    replay_id, reader = visit.number("replay_id"), visit.services.progress
    try:
        now = await reader.read(replay_id)
    except ReplayNotFound:
        raise not_found(f"There is no replay {replay_id}") from None
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}  # proxies must not hold it back
    )
    await response.prepare(visit.request)
    try:
        async with asyncio.timeout(STREAM_SECONDS):
            await response.write(_message(now))
            while not now["is_over"] and not await _passes(reader.is_over, EVERY):
                now = await reader.read(replay_id)
                await response.write(_message(now))
    except (TimeoutError, ConnectionError, KessaiError):  # the browser connects again
        return response
    return response


def _message(now: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(now) + b"\n\n"


async def _passes(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event was set within so many seconds."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


SECTION = Section(
    "Replays",
    "/replays",
    (
        page("/replays", history),
        act("/replays/plan", make_plan),
        page("/replays/{replay_id}", show),
        page("/replays/{replay_id}/progress", progress),
        act("/replays/{replay_id}/start", start),
        act("/replays/{replay_id}/pause", pause),
        act("/replays/{replay_id}/resume", resume),
        act("/replays/{replay_id}/cancel", cancel),
        act("/replays/{replay_id}/note", note),
    ),
)
