"""What an outlook was computed from, what blocks a promise, how promises moved, and answers people kept."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE outlooks ADD COLUMN inputs jsonb;                      -- null: the team owes nothing
        ALTER TABLE outlooks ADD COLUMN inputs_digest text NOT NULL DEFAULT '';
        ALTER TABLE assessments ADD COLUMN inputs jsonb;                   -- null: withdrawn
        ALTER TABLE commitments ADD COLUMN blockers jsonb NOT NULL DEFAULT '[]';

        -- Append-only: how the promise of a deal moved; a null date says that it ended. Primary, never rebuilt.
        CREATE TABLE commitment_history (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            deal_key text NOT NULL,
            at timestamptz NOT NULL,
            promised_date date
        );
        CREATE INDEX commitment_history_deal ON commitment_history (deal_key, id);
        INSERT INTO commitment_history (deal_key, at, promised_date)
            SELECT deal_key, entered_at, promised_date FROM commitments;

        -- Answers of the promise check that somebody asked to keep with a deal. Primary, never rebuilt.
        CREATE TABLE promise_answers (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            deal_key text NOT NULL,
            asked_at timestamptz NOT NULL,
            question jsonb NOT NULL,
            answer jsonb NOT NULL
        );
        CREATE INDEX promise_answers_deal ON promise_answers (deal_key, id);

        -- Everything is derived anew with its inputs.
        INSERT INTO marks (kind, subject)
            SELECT 'deal', deal_key FROM commitments UNION SELECT 'team', team FROM outlooks;
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP TABLE promise_answers;
        DROP TABLE commitment_history;
        ALTER TABLE commitments DROP COLUMN blockers;
        ALTER TABLE assessments DROP COLUMN inputs;
        ALTER TABLE outlooks DROP COLUMN inputs_digest;
        ALTER TABLE outlooks DROP COLUMN inputs;
        """
    )
