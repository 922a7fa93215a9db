"""Which error of the books refuses a call of the admin API, and as what?"""

from http import HTTPStatus
from typing import Final

from ingress.api.problems import BUSY, CONFLICT, INVALID, NOT_FOUND, Kind, Refused, of_any
from ingress.console.api.advice import ADVICE
from ingress.console.exporter import RETRY_AFTER, TooManyExports
from ingress.console.plans import TooManyPlans
from shared.errors import KessaiError
from shared.ledger.api_tokens import InvalidLabel, LabelTaken, TokenNotFound
from shared.ledger.dead_letter_search import BytesDeleted, DeadLetterNotFound
from shared.ledger.decisions import InvalidDecision
from shared.ledger.discards import CannotReopen, DeadLetterElsewhere, GroupChanged, NothingSelected
from shared.ledger.events import EventNotFound
from shared.ledger.notes import InvalidNote, NothingToNote
from shared.ledger.orders import InvalidOrder, OrderConflict, OrderNotFound, OrderNotPending
from shared.ledger.passwords import PasswordRefused
from shared.ledger.receipts import NoReceiptKept
from shared.ledger.replays.jobs import NotPossibleNow, ReplayNotFound
from shared.ledger.replays.plans import BeyondHorizon, NothingToReplay
from shared.ledger.replays.selection import EmptyFilter
from shared.ledger.resolve import CannotApprove, CannotResolve, WaitsForApproval
from shared.ledger.reviews import ReviewChanged, ReviewNotFound, ReviewTaken
from shared.ledger.suggested import NothingSuggested
from shared.ledger.text import InvalidWhy
from shared.ledger.users import InvalidName, NotYourself, UserExists, UserNotFound
from shared.remedies import with_advice

DOCUMENT: Final = "/api/v1/openapi.json"

CROSS_SITE: Final = Kind(HTTPStatus.FORBIDDEN, "cross-site", "Another site sent this")
MISDIRECTED: Final = Kind(HTTPStatus.MISDIRECTED_REQUEST, "misdirected", "Not the address of this API")

_NOT_THERE: Final = (
    OrderNotFound,
    EventNotFound,
    ReviewNotFound,
    DeadLetterNotFound,
    BytesDeleted,
    ReplayNotFound,
    NothingToNote,
    NoReceiptKept,
    UserNotFound,
    TokenNotFound,
)
_NOT_NOW: Final = (
    OrderConflict,
    OrderNotPending,
    ReviewChanged,
    ReviewTaken,
    WaitsForApproval,
    CannotApprove,
    CannotResolve,
    NothingSuggested,
    DeadLetterElsewhere,
    CannotReopen,
    GroupChanged,
    NotPossibleNow,
    UserExists,
    NotYourself,
    LabelTaken,
)
_NOT_SO: Final = (
    InvalidOrder,
    InvalidDecision,
    InvalidNote,
    InvalidWhy,
    InvalidName,
    InvalidLabel,
    PasswordRefused,
    NothingSelected,
    EmptyFilter,
    NothingToReplay,
    BeyondHorizon,
)


def refusal_of(error: Exception) -> Refused:
    """How a call that ended with this error is answered."""
    if isinstance(error, _NOT_THERE):
        return Refused(NOT_FOUND, _explained(error))
    if isinstance(error, _NOT_NOW):
        return Refused(CONFLICT, _explained(error))
    if isinstance(error, _NOT_SO):
        return Refused(INVALID, _explained(error))
    if isinstance(error, TooManyPlans):
        return Refused(BUSY, f"{error}.", retry_after=10)
    if isinstance(error, TooManyExports):
        return Refused(BUSY, f"{error}.", retry_after=RETRY_AFTER)
    return of_any(error, document=DOCUMENT)


def _explained(error: KessaiError) -> str:
    return with_advice(str(error), error.remedy, ADVICE)
