"""The platform's HTTP API: an asynchronous client for merchants, providers and buyers.

    async with Transport(Access.of(token)) as transport:
        async for event in ProviderClient(transport).provider_usage_events(plan_type="micro"):
            ...

| to                                      | take                                                                    |
| --------------------------------------- | ----------------------------------------------------------------------- |
| name platform and token                 | `access.Access`; from the environment: `Settings.merchant_access()`     |
| send, with retries and limits           | `transport.Transport`, `retries.Patience`                               |
| call as a merchant                      | `clients.MerchantClient`: account, checkout, webhooks, `setup_checkout` |
| call as a provider                      | `clients.ProviderClient`: statements, CSV                               |
| call as a buyer                         | `clients.BuyerClient`: requirements, recurring payments, statements     |
| read the answers                        | `checkout`, `merchants`, `webhooks`, `requirements`, `recurring`,       |
|                                         | `usage`, `batches`, `summaries`, `pages.Page`                           |
| handle errors                           | `errors`                                                                |
| replace the transport in a test         | `calls.Sender`                                                          |

Methods have the names of the official SDK 0.5.7. Each list has three: `list_...` is one page, `..._pages` walks pages
whose cursor a caller may keep, and the plain name gives rows. Only `transport` does I/O; everything else is pure.
"""
