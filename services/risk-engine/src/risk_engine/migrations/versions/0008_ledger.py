"""Several commitments of one deal, what people declare, how everything promised moved, and forecasts as shown."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        -- A commitment is named by its deal, or by <deal>~<part> where it is for one deliverable only.
        ALTER TABLE commitments ADD COLUMN part text NOT NULL DEFAULT '';
        ALTER TABLE commitments ADD COLUMN commitment text;
        UPDATE commitments SET commitment = deal_key;
        ALTER TABLE commitments ADD COLUMN title text NOT NULL DEFAULT '';
        ALTER TABLE commitments ADD COLUMN basis text NOT NULL DEFAULT 'field';
        ALTER TABLE commitments ADD COLUMN need text NOT NULL DEFAULT 'strong';
        ALTER TABLE commitments DROP CONSTRAINT commitments_pkey;
        ALTER TABLE commitments ADD PRIMARY KEY (commitment);
        CREATE INDEX commitments_deal ON commitments (deal_key);

        ALTER TABLE deal_issues ADD COLUMN commitment text;
        UPDATE deal_issues SET commitment = deal_key;
        ALTER TABLE deal_issues ALTER COLUMN commitment SET NOT NULL;
        ALTER TABLE deal_issues DROP CONSTRAINT deal_issues_pkey;
        ALTER TABLE deal_issues ADD PRIMARY KEY (commitment, issue);
        CREATE INDEX deal_issues_deal ON deal_issues (deal_key);
        ALTER TABLE deal_issues ADD COLUMN stake numeric;   -- open leaf's part of the deal's money, told once per deal

        ALTER TABLE finish_vectors RENAME COLUMN deal_key TO commitment;

        -- What a deal in force is worth, in its own and in the reporting currency.
        CREATE TABLE deal_worth (
            deal_key text PRIMARY KEY,
            amount numeric NOT NULL,
            currency text NOT NULL,
            converted numeric,              -- null: no rate is known
            reporting text NOT NULL,
            rate_basis text NOT NULL,
            unplaced numeric                -- what no open issue carries
        );

        -- What somebody declared, changed or withdrew (a null body). Append-only and primary, never rebuilt.
        CREATE TABLE declarations (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            commitment text NOT NULL,
            deal_key text NOT NULL,
            at timestamptz NOT NULL,
            who text NOT NULL,
            via text NOT NULL,
            reason text NOT NULL DEFAULT '',
            body jsonb
        );
        CREATE INDEX declarations_commitment ON declarations (commitment, id DESC);
        CREATE INDEX declarations_deal ON declarations (deal_key);

        -- The history tells of every commitment, of what only waits or informs too (then without a promised date).
        ALTER TABLE commitment_history ADD COLUMN commitment text;
        ALTER TABLE commitment_history ADD COLUMN recorded_at timestamptz;
        ALTER TABLE commitment_history ADD COLUMN entry jsonb;
        UPDATE commitment_history SET commitment = deal_key, recorded_at = at, entry = CASE
            WHEN promised_date IS NOT NULL THEN jsonb_build_object('deal', deal_key, 'part', '', 'title', '',
                'promised_date', promised_date, 'basis', 'field', 'source', '', 'state', 'in_force') END;
        ALTER TABLE commitment_history ALTER COLUMN commitment SET NOT NULL;
        ALTER TABLE commitment_history ALTER COLUMN recorded_at SET NOT NULL;
        CREATE INDEX commitment_history_commitment ON commitment_history (commitment, id DESC);

        -- Forecasts as they were shown, on change. Append-only and primary, never rebuilt.
        CREATE TABLE forecasts_shown (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            commitment text NOT NULL,
            at timestamptz NOT NULL,
            committed_date date,
            p50 date,
            p85 date,
            p95 date,
            p_on_time double precision
        );
        CREATE INDEX deals_products ON deals USING gin ((body->'line_items') jsonb_path_ops);
        CREATE INDEX deals_account ON deals ((body->>'account_id'));
        CREATE INDEX forecasts_shown_commitment ON forecasts_shown (commitment, id DESC);

        INSERT INTO marks (kind, subject)
            SELECT 'deal', key FROM deals WHERE NOT deleted UNION SELECT 'team', team FROM outlooks;
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP INDEX deals_account;
        DROP INDEX deals_products;
        DROP TABLE forecasts_shown;
        DROP TABLE declarations;
        DROP TABLE deal_worth;
        DELETE FROM commitment_history WHERE commitment <> deal_key;
        DROP INDEX commitment_history_commitment;
        ALTER TABLE commitment_history DROP COLUMN entry;
        ALTER TABLE commitment_history DROP COLUMN recorded_at;
        ALTER TABLE commitment_history DROP COLUMN commitment;
        DELETE FROM finish_vectors WHERE commitment LIKE '%~%';
        ALTER TABLE finish_vectors RENAME COLUMN commitment TO deal_key;
        DELETE FROM deal_issues WHERE commitment <> deal_key;
        DROP INDEX deal_issues_deal;
        ALTER TABLE deal_issues DROP COLUMN stake;
        ALTER TABLE deal_issues DROP COLUMN commitment;
        ALTER TABLE deal_issues ADD PRIMARY KEY (deal_key, issue);
        DROP INDEX commitments_deal;
        DELETE FROM commitments WHERE part <> '';
        ALTER TABLE commitments DROP COLUMN commitment;
        ALTER TABLE commitments DROP COLUMN need;
        ALTER TABLE commitments DROP COLUMN basis;
        ALTER TABLE commitments DROP COLUMN title;
        ALTER TABLE commitments DROP COLUMN part;
        ALTER TABLE commitments ADD PRIMARY KEY (deal_key);
        """
    )
