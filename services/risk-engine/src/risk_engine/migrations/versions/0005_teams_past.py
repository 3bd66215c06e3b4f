"""What a team did is read by its projects and its boards."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE INDEX issues_project ON issues ((body->>'site_id'), (body->>'project_key'));
        CREATE INDEX sprints_origin ON sprints ((body->>'origin_board_id'));
        """
    )


def downgrade() -> None:
    op.execute("DROP INDEX sprints_origin; DROP INDEX issues_project")
