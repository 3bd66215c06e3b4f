"""Marks are claimed in their order; vectors, which hardly compress, and what few issues have, cost less to write."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NAMINGS = "gin (jsonb_path_query_array(body, '$.crm_references[*].value'))"
FORMER = "gin ((body->'former_keys'))"


def upgrade() -> None:
    op.execute(
        f"""
        CREATE INDEX marks_order ON marks (kind, id);
        ALTER TABLE finish_vectors ALTER COLUMN days SET STORAGE EXTERNAL;
        DROP INDEX issues_namings, issues_former_keys;
        CREATE INDEX issues_namings ON issues USING {NAMINGS} WHERE body ? 'crm_references';
        CREATE INDEX issues_former_keys ON issues USING {FORMER} WHERE body ? 'former_keys';
        """
    )


def downgrade() -> None:
    op.execute(
        f"""
        DROP INDEX issues_namings, issues_former_keys;
        CREATE INDEX issues_namings ON issues USING {NAMINGS};
        CREATE INDEX issues_former_keys ON issues USING {FORMER};
        ALTER TABLE finish_vectors ALTER COLUMN days SET STORAGE EXTENDED;
        DROP INDEX marks_order;
        """
    )
