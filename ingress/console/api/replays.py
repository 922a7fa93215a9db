"""Replays: jobs that process events again. They are planned, watched and kept on record."""

from http import HTTPStatus
from typing import Annotated, Final

from pydantic import Field

from ingress.api.answers import Made
from ingress.api.inputs import Id, Input, Moment, Paged, Text
from ingress.api.operation import Listed, Thing
from ingress.api.problems import CONFLICT
from ingress.console.api.call import Call, Page
from ingress.console.api.operation import ROOT, AnyOperation, act, read
from ingress.console.api.texts import Why
from shared.ledger.books import Outcome
from shared.ledger.database import Connection
from shared.ledger.replays import items, jobs
from shared.ledger.replays.items import ReplayItem
from shared.ledger.replays.jobs import Act, Replay, Terms
from shared.ledger.replays.selection import Selection, Source
from shared.ledger.replays.terms import DEFAULT_CANARY, DEFAULT_RATE, DEFAULT_STOP_ON_FAIL

Texts = Annotated[tuple[Text, ...], Field(max_length=1000)]
Share = Annotated[float, Field(ge=0, le=1, description="Stop when a larger share of the events fails again.")]


class ReplaysParams(Paged):
    """All replays."""


class OfReplay(Input):
    plan_id: Id


class ItemsParams(Paged):
    plan_id: Id
    outcome: Annotated[Outcome | None, Field(description="Only what came, or would come, to this.")] = None


class NewPlan(Input):
    """Which events are meant: those of one source that fit every field which is given; times are those of receipt."""

    source: Source = Source.DEAD_LETTERS
    reasons: Texts = ()
    groups: Texts = ()
    endpoints: Texts = ()
    event_ids: Texts = ()
    types: Texts = ()
    kinds: Texts = ()
    outcomes: tuple[Outcome, ...] = ()
    since: Moment | None = None
    until: Moment | None = None
    all: Annotated[bool, Field(description="Every one of them; no filter alone never means that.")] = False

    @property
    def selection(self) -> Selection:
        """Raises EmptyFilter."""
        return Selection(
            source=self.source,
            reasons=self.reasons,
            groups=self.groups,
            endpoints=self.endpoints,
            event_ids=self.event_ids,
            types=self.types,
            kinds=self.kinds,
            outcomes=self.outcomes,
            since=self.since,
            until=self.until,
            everything=self.all,
        )


class Start(OfReplay):
    why: Why
    canary: Annotated[
        int, Field(ge=0, le=100_000, description="How many events go first and are checked before the rest.")
    ] = DEFAULT_CANARY
    rate: Annotated[
        float | None, Field(gt=0, le=1e6, description="Events a second; null: as fast as they are handled.")
    ] = DEFAULT_RATE
    stop_on_fail: Share = DEFAULT_STOP_ON_FAIL


class Resume(OfReplay):
    stop_on_fail: Share | None = None


async def list_replays(call: Call, params: ReplaysParams) -> Page[Replay]:
    before = call.number(params.cursor)
    found = await call.books(lambda connection: jobs.newest(connection, limit=params.limit + 1, before=before))
    return call.page(found, params.limit, lambda replay: (replay.plan_id,))


async def show_replay(call: Call, params: OfReplay) -> Replay:
    return await call.books(lambda connection: jobs.find(connection, params.plan_id))


async def list_items(call: Call, params: ItemsParams) -> Page[ReplayItem]:
    after = call.number(params.cursor) or 0

    async def work(connection: Connection) -> list[ReplayItem]:
        await jobs.find(connection, params.plan_id)
        return await items.list_items(
            connection, params.plan_id, limit=params.limit + 1, after=min(after, 2**31 - 1), outcome=params.outcome
        )

    return call.page(await call.books(work), params.limit, lambda item: (item.item,))


async def plan_replay(call: Call, params: NewPlan) -> Made:
    """Answer while the outcomes are still being predicted; the state of the replay says when it is planned."""
    plan_id = await call.services.plans.begin(params.selection, actor=call.actor)
    replay = await call.books(lambda connection: jobs.find(connection, plan_id))
    return Made(replay, HTTPStatus.ACCEPTED, f"{ROOT}/replays/{plan_id}")


async def start_replay(call: Call, params: Start) -> Replay:
    terms = Terms(params.why, params.canary, params.rate, params.stop_on_fail)
    return await call.books(lambda connection: jobs.start(connection, params.plan_id, terms, actor=call.actor))


async def pause_replay(call: Call, params: OfReplay) -> Replay:
    return await _tell(call, params.plan_id, Act.PAUSE)


async def resume_replay(call: Call, params: Resume) -> Replay:
    return await _tell(call, params.plan_id, Act.RESUME, stop_on_fail=params.stop_on_fail)


async def cancel_replay(call: Call, params: OfReplay) -> Replay:
    return await _tell(call, params.plan_id, Act.CANCEL)


async def _tell(call: Call, plan_id: int, what: Act, *, stop_on_fail: float | None = None) -> Replay:
    return await call.books(
        lambda connection: jobs.tell(connection, plan_id, what, actor=call.actor, stop_on_fail=stop_on_fail)
    )


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    read(
        "listReplays",
        "/replays",
        "Plans and jobs, the newest first: who, why, and what came of it.",
        ReplaysParams,
        Listed(Replay),
        list_replays,
    ),
    act(
        "planReplay",
        "/replays",
        "Freeze which events are meant and begin to predict what each would come to. Nothing is replayed yet.",
        NewPlan,
        Thing(Replay, (HTTPStatus.ACCEPTED,)),
        plan_replay,
        refuses=(),
    ),
    read("showReplay", "/replays/{plan_id}", "A plan or a job as it stands.", OfReplay, Thing(Replay), show_replay),
    read(
        "listReplayEvents",
        "/replays/{plan_id}/events",
        "Each event of a plan, in its order: what it would change, and what came of it.",
        ItemsParams,
        Listed(ReplayItem),
        list_items,
    ),
    act(
        "startReplay",
        "/replays/{plan_id}/start",
        "Hand a plan to the workers. The canary goes first; the rest follows when it went well.",
        Start,
        Thing(Replay),
        start_replay,
        refuses=(CONFLICT,),
    ),
    act(
        "pauseReplay",
        "/replays/{plan_id}/pause",
        "Hand over nothing more for now; what is in flight comes to its end.",
        OfReplay,
        Thing(Replay),
        pause_replay,
        refuses=(CONFLICT,),
    ),
    act(
        "resumeReplay",
        "/replays/{plan_id}/resume",
        "Go on with a job that was paused, or that stopped because too many events failed again.",
        Resume,
        Thing(Replay),
        resume_replay,
        refuses=(CONFLICT,),
    ),
    act(
        "cancelReplay",
        "/replays/{plan_id}/cancel",
        "End a plan or a job; what is in flight comes to its end.",
        OfReplay,
        Thing(Replay),
        cancel_replay,
        refuses=(CONFLICT,),
    ),
)
