"""Issues that name a deal: found from either side, whichever arrives first."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE INDEX issues_namings ON issues USING gin (jsonb_path_query_array(body, '$.crm_references[*].value'));
        CREATE INDEX deals_id ON deals ((body->>'id'));
        CREATE INDEX deals_numbers ON deals USING gin (jsonb_path_query_array(body, '$.custom.*'));
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP INDEX deals_numbers;
        DROP INDEX deals_id;
        DROP INDEX issues_namings;
        """
    )
