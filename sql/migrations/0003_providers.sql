-- Users' own API keys and defaults; remote sessions that are to be ended or put away.

-- `sealed` is AES-256-GCM under the key named by `key_id`, bound to user and provider.
CREATE TABLE credentials (
    user_id    uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    provider   text        NOT NULL,
    key_id     bytea       NOT NULL,
    sealed     bytea       NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, provider)
);

ALTER TABLE users ADD COLUMN default_provider text, ADD COLUMN default_model text;

-- What the leader's sync looks for: remote sessions that may still be at work, or that nobody needs any more.
CREATE INDEX chat_sessions_remote ON chat_sessions (updated_at)
    WHERE provider_state IS NOT NULL AND (deleted_at IS NOT NULL OR provider_state ->> 'turn' = 'open');

INSERT INTO schema_migrations (version, name) VALUES (3, 'providers');
