"""The admin API: what the console can do, for scripts and other tools, as JSON under /api/v1.

One table of operations (table.py) makes both the routes and the OpenAPI document. A call is let in by a bearer token
and by nothing else: no cookie, no header of a proxy; a token lets nobody in to the pages.
"""
