"""What users say of pictures: thumbs, and which of two is better."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "2", "1"


def upgrade() -> None:
    """Add the column and the table."""
    op.add_column("picture", sa.Column("thumb", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "choice",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("created", sa.BigInteger, nullable=False),
        *(
            sa.Column(
                name,
                sa.String(32),
                sa.ForeignKey("picture.id", ondelete="CASCADE"),
                nullable=False,
                index=True,
            )
            for name in ("better", "worse")
        ),
    )
