"""Alembic's entry: runs the revisions on the connection that `shared.ledger.migrate` hands over."""

from alembic import context

from shared.ledger.migrate import SCHEMA

connection = context.config.attributes.get("connection")
context.configure(
    connection=connection,
    dialect_name=None if connection is not None else "postgresql",
    dialect_opts={"paramstyle": "named"},  # SQL for psql: other styles would double each percent sign
    version_table_schema=SCHEMA,
    as_sql=connection is None,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
