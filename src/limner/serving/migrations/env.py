"""What alembic executes to migrate: it is given the connection, in a transaction of its own."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
