"""Alembic's entry point; the connection is handed in by risk_engine.store.database."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
