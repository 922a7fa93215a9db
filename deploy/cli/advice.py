"""How does the terminal explain a remedy? By the command or the option to use."""

from collections.abc import Mapping
from typing import Final

from shared.remedies import Remedy

ADVICE: Final[Mapping[Remedy, str]] = {
    Remedy.ACCEPT_MISMATCH: "add --accept-mismatch to count it all the same",
    Remedy.ADD_ORDER: "check the id, or register it with `kessai orders add`",
    Remedy.CHANGE_USER: "change it with `kessai users set-role` or `kessai users set-password`",
    Remedy.EXCLUDE_OLD_EVENTS: "exclude them with --since",
    Remedy.LIST_CLIENTS: "see `kessai checkout-clients list`",
    Remedy.LIST_DEAD_LETTERS: "see `kessai dead-letters list`",
    Remedy.LIST_GROUPS: "see `kessai dead-letters groups --state all`",
    Remedy.LIST_REPLAYS: "see `kessai replay history`",
    Remedy.LIST_REVIEWS: "see `kessai reviews list`",
    Remedy.LIST_TOKENS: "see `kessai tokens list`",
    Remedy.LIST_USERS: "see `kessai users list`",
    Remedy.NAME_EVENTS: "name the events (--reason, --group, --event, --since, ...), or --all for every one of them",
    Remedy.NAME_ORDER: "name it with --order",
    Remedy.READ_GROUP_AGAIN: "read it again with `kessai dead-letters groups`, then decide",
    Remedy.READ_REVIEW_AGAIN: "read it again with `kessai reviews show`, then decide",
    Remedy.REVOKE_CLIENT: "choose another name, or revoke that token first with `kessai checkout-clients revoke`",
    Remedy.REVOKE_TOKEN: "choose another label, or revoke that one first with `kessai tokens revoke`",
    Remedy.TAKE_REVIEW_OVER: "ask them to release it, or take it over with `kessai reviews claim --take-over`",
}
