"""What moderation flags pictures for."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "4", "3"


def upgrade() -> None:
    """Add the column."""
    op.add_column("picture", sa.Column("flags", sa.JSON, nullable=False, server_default="[]"))
