"""What people wrote down about a thing, and writing down more."""

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
    thing: NoteThing, path: str, name: str, asks: type[Input], writes: type[NewNote], id_of: Callable[[Any], object]
) -> tuple[AnyOperation, AnyOperation]:
    """The two operations on notes of one kind of thing, by the path of the thing itself."""

    async def list_notes(call: Call, asked: Input) -> Page[Note]:
        return Page(await call.books(lambda connection: notes.find(connection, thing, str(id_of(asked)))))

    async def add_note(call: Call, asked: NewNote) -> Note:
        return await call.books(
            lambda connection: notes.add(connection, thing, str(id_of(asked)), asked.body, author=call.actor)
        )

    about = thing.replace("_", " ")
    return (
        read(
            f"list{name}Notes",
            f"{path}/notes",
            f"What was written down of the {about}, the oldest first; on one page.",
            asks,
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
    *_of(NoteThing.ORDER, "/orders/{order_id}", "Order", OfOrder, NoteOnOrder, lambda asked: asked.order_id),
    *_of(NoteThing.REVIEW, "/reviews/{review_id}", "Review", OfReview, NoteOnReview, lambda asked: asked.review_id),
    *_of(
        NoteThing.DEAD_LETTER_GROUP,
        "/dead-letter-groups/{group_id}",
        "DeadLetterGroup",
        OfGroup,
        NoteOnGroup,
        lambda asked: asked.group_id,
    ),
    *_of(NoteThing.REPLAY, "/replays/{plan_id}", "Replay", OfReplay, NoteOnReplay, lambda asked: asked.plan_id),
)
