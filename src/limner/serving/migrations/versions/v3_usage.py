"""What users have spent of what their keys may ask for."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "3", "2"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "usage",
        sa.Column("owner", sa.String(256), primary_key=True),
        sa.Column("what", sa.String(16), primary_key=True),
        sa.Column("period", sa.BigInteger, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
    )
