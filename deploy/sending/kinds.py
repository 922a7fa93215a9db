"""Which kinds of events can be sent by name?"""

from enum import StrEnum


class Kind(StrEnum):
    STANDARD_SETTLED = "standard_settled"
    METERED_USAGE_ACCEPTED = "metered_usage_accepted"
    METERED_BATCH_SETTLED = "metered_batch_settled"
    SPENT = "spent"
    READINESS_PROBE = "readiness_probe"
    UNKNOWN = "unknown"
