"""What buyers and providers call to see micro and nano payments."""

from deploy.sandbox.core.usage_csv import usage_csv
from deploy.sandbox.server.call import Answer, Call, File, Route


def buyer_summary(call: Call) -> Answer:
    return Answer(call.platform.statements.buyer_summary(call.user, call.query))


def buyer_usage(call: Call) -> Answer:
    return Answer(call.platform.statements.buyer_usage(call.user, call.query))


def buyer_batches(call: Call) -> Answer:
    return Answer(call.platform.statements.buyer_batches(call.user, call.query))


def provider_summary(call: Call) -> Answer:
    return Answer(call.platform.statements.provider_summary(call.user, call.query))


def provider_usage(call: Call) -> Answer:
    return Answer(call.platform.statements.provider_usage(call.user, call.query))


def provider_batches(call: Call) -> Answer:
    return Answer(call.platform.statements.provider_batches(call.user, call.query))


def provider_batch(call: Call) -> Answer:
    statements = call.platform.statements
    return Answer(statements.show(statements.provider_batch(call.user, call.path["batch_id"], call.query)))


def provider_csv(call: Call) -> File:
    statements = call.platform.statements
    batch = statements.provider_batch(call.user, call.path["batch_id"], {})
    return File(usage_csv(statements.rows_of(batch)), f"{batch.id}.csv")


_METERED = "/v1/sdrp/metered"
_BATCHES = f"{_METERED}/provider/settlement-batches"

ROUTES = (
    Route("GET", f"{_METERED}/my-summary", buyer_summary),
    Route("GET", f"{_METERED}/my-usage-events", buyer_usage),
    Route("GET", f"{_METERED}/my-settlement-batches", buyer_batches),
    Route("GET", f"{_METERED}/provider/summary", provider_summary),
    Route("GET", f"{_METERED}/provider/usage-events", provider_usage),
    Route("GET", _BATCHES, provider_batches),
    Route("GET", f"{_BATCHES}/{{batch_id}}", provider_batch),
    Route("GET", f"{_BATCHES}/{{batch_id}}/usage-events.csv", provider_csv),
)
