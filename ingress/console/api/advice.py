"""How does the API explain a remedy? By the call or the field to use."""

from collections.abc import Mapping
from typing import Final

from shared.remedies import Remedy

ADVICE: Final[Mapping[Remedy, str]] = {
    Remedy.ACCEPT_MISMATCH: "send accept_mismatch as true to count it all the same",
    Remedy.ADD_ORDER: "check the id, or register it with POST /orders",
    Remedy.CHANGE_USER: "change the role or the password of that user",
    Remedy.EXCLUDE_OLD_EVENTS: "exclude them with since",
    Remedy.LIST_DEAD_LETTERS: "GET /dead-letters lists them",
    Remedy.LIST_GROUPS: "GET /dead-letter-groups lists them",
    Remedy.LIST_REPLAYS: "GET /replays lists them",
    Remedy.LIST_REVIEWS: "GET /reviews lists them",
    Remedy.LIST_TOKENS: "GET /tokens lists them",
    Remedy.LIST_USERS: "GET /users lists them",
    Remedy.NAME_EVENTS: "name the events by at least one filter, or send all as true for every one of them",
    Remedy.NAME_ORDER: "send its id as order_id",
    Remedy.READ_GROUP_AGAIN: "read it again, then decide",
    Remedy.READ_REVIEW_AGAIN: "read it again, then decide",
    Remedy.REVOKE_TOKEN: "choose another label, or revoke that token first",
    Remedy.TAKE_REVIEW_OVER: "ask them to release it, or claim it with take_over as true",
}
