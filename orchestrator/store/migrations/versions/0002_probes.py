"""What a device's browser could do when it was probed last."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("devices", sa.Column("probe", sa.JSON(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("devices") as devices:
        devices.drop_column("probe")
