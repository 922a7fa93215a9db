"""The official SDK's FastAPI route, mounted as the README of its template says: `uvicorn --factory` runs `create_app`.

The template's files are laid out at run time as the package `siglume_peer` (see peer.py); none of them lives here.
"""

import importlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import async_sessionmaker

PACKAGE = "siglume_peer"


def create_app() -> FastAPI:
    store_module = importlib.import_module(f"{PACKAGE}.siglume_order_store_sqlalchemy_async")
    routes = importlib.import_module(f"{PACKAGE}.siglume_sdrp_routes")
    engine = store_module.create_async_sqlalchemy_engine(os.environ["DATABASE_URL"])
    store = store_module.AsyncSQLAlchemySiglumeOrderStore(
        async_sessionmaker(engine, expire_on_commit=False), authorize_order=_refuse_checkout
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await store_module.create_async_sqlalchemy_siglume_schema(engine, include_orders_table=True)
        yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan)
    app.include_router(routes.create_siglume_sdrp_router(store, allow_metered_payments=False), prefix="/payments")
    return app


async def _refuse_checkout(_order: dict[str, Any], _request: object) -> bool:
    """Only the webhook is measured; nobody may start a checkout here."""
    return False
