"""The training drawings that pictures were drawn from."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "5", "4"


def upgrade() -> None:
    """Add the column."""
    op.add_column("picture", sa.Column("sources", sa.JSON, nullable=False, server_default="[]"))
