"""What stands on deals, what fields hold, the links that follow, and what people said of them."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        r"""
        -- A name without version numbers, case and punctuation: "Ledger 2.4" and "ledger" are the same product.
        CREATE FUNCTION name_stem(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
            trim(regexp_replace(
                regexp_replace(lower(name), '\m(version|release|ver|rel|v|r)?[ ._-]*[0-9]+([._-][0-9x]+)*\M', ' ', 'g'),
                '[[:space:][:punct:]]+', ' ', 'g'
            ));

        DROP INDEX deals_id;  -- the signs of a deal tell its ids
        CREATE INDEX versions_stem ON versions (name_stem(body->>'name'));
        CREATE INDEX issues_epic_stem ON issues (name_stem(body->>'summary')) WHERE body->>'type_name' = 'Epic';
        CREATE INDEX issues_versions ON issues USING gin ((body->'fix_version_ids')) WHERE body ? 'fix_version_ids';

        -- What stands on a deal, resolved or not: an arriving issue, version or product looks here.
        CREATE TABLE signs (
            deal_key text NOT NULL,
            place text NOT NULL,
            sign text NOT NULL,         -- an issue key, or "name:", "version:" or "product:" and what bears it
            issue text,                 -- what it means at present
            words text NOT NULL         -- names the text it stands in
        );
        CREATE INDEX signs_deal ON signs (deal_key);
        CREATE INDEX signs_sign ON signs (sign);
        CREATE INDEX signs_issue ON signs (issue) WHERE issue IS NOT NULL;
        CREATE INDEX signs_words ON signs (words) WHERE words <> '';

        -- What other deals depend on: whether they are copies of this one, and what its fields hold.
        CREATE TABLE faces (
            deal_key text PRIMARY KEY,
            org text NOT NULL,
            account text NOT NULL,
            likeness text NOT NULL,
            name text NOT NULL,
            created_at timestamptz,
            lost boolean NOT NULL,
            digest text NOT NULL,
            scores jsonb NOT NULL       -- by place: values filled, with keys, with known issues, of nothing but keys
        );
        CREATE INDEX faces_account ON faces (account);

        -- The sums of the scores above.
        CREATE TABLE field_scores (
            org text NOT NULL,
            place text NOT NULL,
            filled integer NOT NULL,
            keyed integer NOT NULL,
            resolved integer NOT NULL,
            hits integer NOT NULL,
            PRIMARY KEY (org, place)
        );

        CREATE TABLE links (
            deal_key text NOT NULL,
            issue text NOT NULL,
            mentions text[] NOT NULL,
            confidence double precision NOT NULL,
            basis text[] NOT NULL,
            conflict text NOT NULL,
            PRIMARY KEY (deal_key, issue)
        );
        CREATE INDEX links_issue ON links (issue);

        -- Append-only: what people said of fields, products and links; the latest counts. Primary, never rebuilt.
        CREATE TABLE link_answers (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            kind text NOT NULL,
            subject text NOT NULL,
            target text NOT NULL,
            answer text NOT NULL,
            answered_by text NOT NULL,
            note text NOT NULL,
            at timestamptz NOT NULL
        );
        CREATE INDEX link_answers_subject ON link_answers (kind, subject, target, id);

        INSERT INTO marks (kind, subject) SELECT 'link', key FROM deals WHERE NOT deleted;
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP TABLE link_answers, links, field_scores, faces, signs;
        DROP INDEX issues_versions, issues_epic_stem, versions_stem;
        DROP FUNCTION name_stem;
        CREATE INDEX deals_id ON deals ((body->>'id'));
        DELETE FROM marks WHERE kind = 'link';
        """
    )
