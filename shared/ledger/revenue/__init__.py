"""The metered books: what statements say of micro and nano money, beside what webhooks said.

A sync of one endpoint, each call its own transaction and safe to repeat (deploy/decisions/0008-metered-books.md):

    run = await syncs.resume(connection, endpoint, List.BATCHES, now=now)
    page = await provider.list_provider_settlement_batches(cursor=run.cursor, limit=MAX_BATCH_PAGE)
    await statements.apply_batch_page(
        connection, endpoint, page.items, page.next_cursor, cursor=run.cursor, stated_at=when_it_was_asked_for
    )                                               # ... to the last page; then List.USAGE in the same way
    while (await settling.settle_orders(connection, endpoint, now=now)).more: ...
    await comparing.compare(connection, endpoint, now=now)      # then settle again: it may have paired late webhooks

A run that has come to what cannot have changed any more may end early with `syncs.finish`.
"""
