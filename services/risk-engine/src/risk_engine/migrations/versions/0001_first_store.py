"""First store: states from the topics, work marks, commitments, outlooks, alerts, outbox."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATES = ("deals", "crm_references", "issues", "sprints", "boards", "versions", "sync_status")


def upgrade() -> None:
    for table in STATES:
        op.execute(
            f"""
            CREATE TABLE {table} (
                key text PRIMARY KEY,
                version bigint NOT NULL,
                digest text NOT NULL,
                deleted boolean NOT NULL,
                body jsonb
            )
            """
        )
    op.execute("CREATE INDEX issues_parent ON issues ((body->>'site_id'), (body->>'parent_id'))")
    op.execute("CREATE INDEX issues_issue_key ON issues ((body->>'issue_key'))")
    op.execute("CREATE INDEX issues_former_keys ON issues USING gin ((body->'former_keys'))")
    op.execute("CREATE INDEX sprints_boards ON sprints USING gin ((body->'board_ids'))")
    op.execute(
        """
        CREATE TABLE journal (
            id text PRIMARY KEY,
            topic text NOT NULL,
            key text NOT NULL,
            body jsonb NOT NULL
        );
        CREATE INDEX journal_key ON journal (topic, key);

        CREATE TABLE stored_offsets (
            topic text NOT NULL,
            partition integer NOT NULL,
            next_offset bigint NOT NULL,
            PRIMARY KEY (topic, partition)
        );

        -- Append-only work queue: a mark says that a subject must be evaluated again.
        CREATE TABLE marks (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            kind text NOT NULL,
            subject text NOT NULL,
            marked_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        CREATE INDEX marks_subject ON marks (kind, subject);

        CREATE TABLE timers (
            name text NOT NULL,
            due timestamptz NOT NULL,
            PRIMARY KEY (name, due)
        );

        -- Keys found in a deal, resolved or not: an arriving issue looks here.
        CREATE TABLE mentions (
            deal_key text NOT NULL,
            issue_key text NOT NULL,
            PRIMARY KEY (deal_key, issue_key)
        );
        CREATE INDEX mentions_issue ON mentions (issue_key);

        -- Linked issues and everything below them: a changed issue looks here.
        CREATE TABLE deal_issues (
            deal_key text NOT NULL,
            issue text NOT NULL,
            team text,                  -- who owes it; null when it is done, no leaf, or on no board
            points double precision,
            assumed boolean,
            above boolean NOT NULL DEFAULT false, -- parent of a linked sub-task: watched, not needed
            PRIMARY KEY (deal_key, issue)
        );
        CREATE INDEX deal_issues_issue ON deal_issues (issue);
        CREATE INDEX deal_issues_team ON deal_issues (team) WHERE team IS NOT NULL;

        CREATE TABLE commitments (
            deal_key text PRIMARY KEY,
            promised_date date NOT NULL,
            won boolean NOT NULL,
            probability double precision NOT NULL,
            teams text[] NOT NULL,
            links jsonb NOT NULL,
            entered_at timestamptz NOT NULL,
            boardless integer NOT NULL  -- open leaves that are on no board
        );

        -- Finish vectors: per trial the day (date ordinal, float32) on which the team is done with the deal.
        CREATE TABLE finish_vectors (
            team text NOT NULL,
            deal_key text NOT NULL,
            as_of timestamptz NOT NULL,
            days bytea NOT NULL,
            PRIMARY KEY (team, deal_key)
        );
        CREATE INDEX finish_vectors_deal ON finish_vectors (deal_key);

        CREATE TABLE outlooks (
            team text PRIMARY KEY,
            as_of timestamptz NOT NULL,
            body jsonb NOT NULL,
            cover jsonb NOT NULL        -- what the team's oversold finding says of its deals
        );

        CREATE TABLE assessments (
            deal_key text PRIMARY KEY,
            version bigint NOT NULL,    -- ms, grows with every change of the deal's assessment
            digest text NOT NULL,
            as_of timestamptz NOT NULL,
            body jsonb                  -- null: withdrawn, the version is remembered
        );

        CREATE TABLE alerts (
            alert_id text PRIMARY KEY,
            state jsonb NOT NULL,
            last_notice jsonb NOT NULL
        );

        CREATE TABLE alert_transitions (
            alert_id text NOT NULL,
            sequence integer NOT NULL,
            at timestamptz NOT NULL,
            body jsonb NOT NULL,
            PRIMARY KEY (alert_id, sequence)
        );

        CREATE TABLE outbox (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            notice_id text NOT NULL,
            endpoint text NOT NULL,
            stream text NOT NULL,
            body jsonb NOT NULL,
            created_at timestamptz NOT NULL,
            attempts integer NOT NULL DEFAULT 0,
            eligible_at timestamptz NOT NULL,
            locked_until timestamptz,
            delivered_at timestamptz,
            dead_at timestamptz,
            last_answer text,
            UNIQUE (notice_id, endpoint)
        );
        CREATE INDEX outbox_pending ON outbox (endpoint, stream, id) WHERE delivered_at IS NULL AND dead_at IS NULL;

        CREATE TABLE milestones (
            name text PRIMARY KEY,
            at timestamptz NOT NULL
        );
        """
    )


def downgrade() -> None:
    raise NotImplementedError("the store is rebuilt from the topics, never downgraded")
