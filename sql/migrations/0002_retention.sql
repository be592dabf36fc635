-- Room for the leader's jobs: removing the deltas of finished messages, purging deleted sessions, finding orphans.

ALTER TABLE runs ADD COLUMN compacted_at timestamptz;
CREATE INDEX runs_to_compact ON runs (ended_at) WHERE ended_at IS NOT NULL AND compacted_at IS NULL;

CREATE INDEX chat_sessions_in_trash ON chat_sessions (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX chat_sessions_running ON chat_sessions (updated_at) WHERE status = 'running';

-- Sessions whose rows are gone and whose events are being removed, a batch at a time.
CREATE TABLE purges (
    chat_session_id uuid        PRIMARY KEY,
    created_at      timestamptz NOT NULL DEFAULT now()
);

INSERT INTO schema_migrations (version, name) VALUES (2, 'retention');
