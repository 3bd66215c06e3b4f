"""What is true at the first start goes out as one digest; a store that is live has told it alert by alert."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("INSERT INTO milestones (name, at) SELECT 'digested', at FROM milestones WHERE name = 'live'")


def downgrade() -> None:
    op.execute("DELETE FROM milestones WHERE name = 'digested'")
