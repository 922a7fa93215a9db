"""Dead letters, one by one, by group, and with their bytes."""

from dataclasses import asdict, dataclass
from typing import Annotated, Final

from aiohttp import web
from pydantic import ConfigDict, Field, model_validator

from ingress.api.inputs import Id, Input, Number, Paged, Since, Text, Until
from ingress.api.operation import Bytes, Listed, Thing
from ingress.api.problems import CONFLICT, NOT_FOUND
from ingress.console import cursors
from ingress.console.api.call import Call, Page
from ingress.console.api.operation import AnyOperation, act, read
from ingress.console.api.texts import Why
from shared.ledger import dead_letter_search, discards, receipts
from shared.ledger.dead_letter_search import DeadLetter, DeadLetterFilter, DeadLetterState
from shared.ledger.discards import Selection
from shared.ledger.noted_groups import NotedGroup, noted_groups
from shared.ledger.proved_receipts import ProvedReceipt, prove_receipts

OCTETS: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class WholeDeadLetter(DeadLetter):
    """A dead letter and its body, unless its bytes are deleted; bytes that are not UTF-8 are written as escapes."""

    raw_bytes: int | None
    raw: str | None


@dataclass(frozen=True, slots=True)
class Moved:
    """The dead letters whose state was changed."""

    state: DeadLetterState
    count: int
    dead_letter_ids: list[int]


class DeadLettersParams(Paged):
    group_id: Text | None = None
    state: DeadLetterState | None = None
    reason: Text | None = None
    type: Text | None = None
    kind: Text | None = None
    endpoint: Text | None = None
    event_id: Text | None = None
    order_id: Text | None = None
    challenge_hash: Text | None = None
    text: Annotated[Text | None, Field(description="Only bodies that hold this text, byte for byte.")] = None
    since: Since = None
    until: Until = None


class GroupsParams(Input):
    state: DeadLetterState | None = None


class OfDeadLetter(Input):
    dead_letter_id: Id


class Chosen(Input):
    """Dead letters by their ids, or all of a group at the version that was seen."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["dead_letter_ids"]}, {"required": ["group_id", "version"]}]}
    )

    dead_letter_ids: Annotated[list[Number] | None, Field(min_length=1)] = None
    group_id: Text | None = None
    version: Annotated[
        Text | None, Field(description="Of the group, where it was listed: refused when letters came or left since.")
    ] = None
    why: Why

    @model_validator(mode="after")
    def _one_of_the_two(self) -> "Chosen":
        if (self.dead_letter_ids is None) == (self.group_id is None):
            raise ValueError("name dead letters by dead_letter_ids, or a group by group_id: one of the two")
        if (self.group_id is None) != (self.version is None):
            raise ValueError("version goes with group_id: take it from /dead-letter-groups of the state it is in")
        return self

    @property
    def selection(self) -> Selection:
        return Selection(ids=self.dead_letter_ids or (), group_id=self.group_id, version=self.version or "")


async def list_dead_letters(call: Call, params: DeadLettersParams) -> Page[DeadLetter]:
    wanted = DeadLetterFilter(
        **params.model_dump(exclude={"limit", "cursor", "text"}),
        raw_holds=None if params.text is None else params.text.encode(),
    )
    before = call.place(params.cursor, cursors.moment, cursors.number)
    found = await call.books(
        lambda connection: dead_letter_search.search(connection, wanted, limit=params.limit + 1, before=before)
    )
    return call.page(found, params.limit, lambda letter: letter.place)


async def list_groups(call: Call, params: GroupsParams) -> Page[NotedGroup]:
    return Page(await call.books(lambda connection: noted_groups(connection, state=params.state)))


async def show_dead_letter(call: Call, params: OfDeadLetter) -> WholeDeadLetter:
    letter, body = await call.books(lambda connection: dead_letter_search.find(connection, params.dead_letter_id))
    if body is None:
        return WholeDeadLetter(**asdict(letter), raw_bytes=None, raw=None)
    return WholeDeadLetter(**asdict(letter), raw_bytes=len(body), raw=body.decode("utf-8", "backslashreplace"))


async def download_raw(call: Call, params: OfDeadLetter) -> web.Response:
    _, body = await call.books(lambda connection: dead_letter_search.find_with_bytes(connection, params.dead_letter_id))
    name = f"dead-letter-{params.dead_letter_id}.bin"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=body, content_type=OCTETS, headers=headers)


async def verify_dead_letter(call: Call, params: OfDeadLetter) -> ProvedReceipt:
    endpoint, receipt = await call.books(lambda connection: receipts.of_dead_letter(connection, params.dead_letter_id))
    (proved,) = prove_receipts(endpoint, [receipt], call.services.secrets)
    return proved


async def discard(call: Call, params: Chosen) -> Moved:
    ids = await call.books(
        lambda connection: discards.discard(connection, params.selection, actor=call.actor, why=params.why)
    )
    return Moved(DeadLetterState.DISCARDED, len(ids), ids)


async def reopen(call: Call, params: Chosen) -> Moved:
    ids = await call.books(
        lambda connection: discards.reopen(connection, params.selection, actor=call.actor, why=params.why)
    )
    return Moved(DeadLetterState.OPEN, len(ids), ids)


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    read(
        "listDeadLetters",
        "/dead-letters",
        "The newest dead letters, by receipt, and why each is one; since and until speak of their receipt.",
        DeadLettersParams,
        Listed(DeadLetter),
        list_dead_letters,
    ),
    act(
        "discardDeadLetters",
        "/dead-letters/discard",
        "Close open dead letters that nobody will replay, all or none; they can be opened again.",
        Chosen,
        Thing(Moved),
        discard,
        refuses=(NOT_FOUND, CONFLICT),
    ),
    act(
        "reopenDeadLetters",
        "/dead-letters/reopen",
        "Take back a discard, all or none.",
        Chosen,
        Thing(Moved),
        reopen,
        refuses=(NOT_FOUND, CONFLICT),
    ),
    read(
        "showDeadLetter",
        "/dead-letters/{dead_letter_id}",
        "One dead letter and its body as text.",
        OfDeadLetter,
        Thing(WholeDeadLetter),
        show_dead_letter,
    ),
    read(
        "downloadDeadLetter",
        "/dead-letters/{dead_letter_id}/raw",
        "The body of a dead letter, byte for byte.",
        OfDeadLetter,
        Bytes((OCTETS,)),
        download_raw,
    ),
    read(
        "verifyDeadLetter",
        "/dead-letters/{dead_letter_id}/proof",
        "Prove again that a dead letter carries its signature, with the secrets that the console was given.",
        OfDeadLetter,
        Thing(ProvedReceipt),
        verify_dead_letter,
    ),
    read(
        "listDeadLetterGroups",
        "/dead-letter-groups",
        "Dead letters by the error that they share, the most frequent first; on one page.",
        GroupsParams,
        Listed(NotedGroup),
        list_groups,
    ),
)
