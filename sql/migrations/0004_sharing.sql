-- Links by which anybody may read a session: one a session at most. Its end takes the link along, whichever version of
-- the code ends it.

CREATE TABLE shares (
    chat_session_id uuid        PRIMARY KEY REFERENCES chat_sessions ON DELETE CASCADE,
    id              uuid        NOT NULL UNIQUE,
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz
);
CREATE INDEX shares_by_expiry ON shares (expires_at) WHERE expires_at IS NOT NULL;

INSERT INTO schema_migrations (version, name) VALUES (4, 'sharing');
