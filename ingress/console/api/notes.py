"""Notes on orders, reviews, groups of dead letters and replays."""

from collections.abc import Callable
from typing import Any, Final

from ingress.api.inputs import Input, Text
from ingress.api.operation import Listed, Thing
from ingress.console.api.call import Call, Page
from ingress.console.api.operation import AnyOperation, act, read
from ingress.console.api.orders import OfOrder
from ingress.console.api.replays import OfReplay
from ingress.console.api.reviews import OfReview
from ingress.console.api.texts import NoteBody
from shared.ledger import notes
from shared.ledger.notes import Note, NoteThing


class OfGroup(Input):
    group_id: Text


class NewNote(Input):
    body: NoteBody


class NoteOnOrder(OfOrder, NewNote):
    pass


class NoteOnReview(OfReview, NewNote):
    pass


class NoteOnGroup(OfGroup, NewNote):
    pass


class NoteOnReplay(OfReplay, NewNote):
    pass


def _of(
    thing: NoteThing, path: str, name: str, params: type[Input], writes: type[NewNote], id_of: Callable[[Any], object]
) -> tuple[AnyOperation, AnyOperation]:
    """The two operations on notes of one kind of thing, below the path of the thing."""

    async def list_notes(call: Call, params: Input) -> Page[Note]:
        return Page(await call.books(lambda connection: notes.find(connection, thing, str(id_of(params)))))

    async def add_note(call: Call, params: NewNote) -> Note:
        return await call.books(
            lambda connection: notes.add(connection, thing, str(id_of(params)), params.body, author=call.actor)
        )

    about = thing.replace("_", " ")
    return (
        read(
            f"list{name}Notes",
            f"{path}/notes",
            f"What was written down of the {about}, the oldest first; on one page.",
            params,
            Listed(Note),
            list_notes,
        ),
        act(
            f"note{name}",
            f"{path}/notes",
            "Write down what the next person should know.",
            writes,
            Thing(Note),
            add_note,
            refuses=(),
        ),
    )


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    *_of(NoteThing.ORDER, "/orders/{order_id}", "Order", OfOrder, NoteOnOrder, lambda params: params.order_id),
    *_of(NoteThing.REVIEW, "/reviews/{review_id}", "Review", OfReview, NoteOnReview, lambda params: params.review_id),
    *_of(
        NoteThing.DEAD_LETTER_GROUP,
        "/dead-letter-groups/{group_id}",
        "DeadLetterGroup",
        OfGroup,
        NoteOnGroup,
        lambda params: params.group_id,
    ),
    *_of(NoteThing.REPLAY, "/replays/{plan_id}", "Replay", OfReplay, NoteOnReplay, lambda params: params.plan_id),
)
