-- What the database is: the sum of `sql/migrations`, for reading and for a fresh database (`psql -f`).
-- A test builds one database from this file and one from the migrations, and compares them.

CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- Accounts -----------------------------------------------------------------------------------------------------------

CREATE TABLE users (
    id               uuid        PRIMARY KEY,
    email            text        NOT NULL UNIQUE CHECK (email = lower(email)),
    display_name     text,
    password_hash    text        NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    default_provider text,
    default_model    text
);

-- API keys of users' own. `sealed` is AES-256-GCM under the key named by `key_id`, bound to user and provider.
CREATE TABLE credentials (
    user_id    uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    provider   text        NOT NULL,
    key_id     bytea       NOT NULL,
    sealed     bytea       NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, provider)
);

-- Logins. `id` is public; what logs in is a random token of which only HMAC(SESSION_SECRET, token) is kept.
-- `secret_id` names the secret of several; null if a version stored it that did not say.
CREATE TABLE sessions (
    id         uuid        PRIMARY KEY,
    token_hash bytea       NOT NULL UNIQUE,
    user_id    uuid        NOT NULL REFERENCES users ON DELETE CASCADE,
    user_agent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    secret_id  bytea
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Counters of attempts, shared by all replicas: one row a bucket, its window begins with its first attempt.
CREATE TABLE rate_limits (
    bucket            text        PRIMARY KEY,
    window_started_at timestamptz NOT NULL,
    attempts          integer     NOT NULL
) WITH (fillfactor = 70);

-- Chat sessions and their log ----------------------------------------------------------------------------------------

CREATE TABLE chat_sessions (
    id             uuid        PRIMARY KEY,
    user_id        uuid        NOT NULL REFERENCES users,
    title          text        NOT NULL,
    status         text        NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'interrupted')),
    provider       text        NOT NULL,
    model          text,
    repository_url text,
    branch         text,
    favorite       boolean     NOT NULL DEFAULT false,
    provider_state json,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    completed_at   timestamptz,
    deleted_at     timestamptz
) WITH (fillfactor = 80);
-- Keyset pages go by creation, which never changes; the list stream asks for what was changed last.
CREATE INDEX chat_sessions_by_user ON chat_sessions (user_id, created_at DESC, id DESC);
CREATE INDEX chat_sessions_by_change ON chat_sessions (user_id, updated_at DESC);
CREATE INDEX chat_sessions_in_trash ON chat_sessions (deleted_at) WHERE deleted_at IS NOT NULL;
-- Remote sessions that may still be at work, or that nobody needs any more: the leader's sync looks here.
CREATE INDEX chat_sessions_remote ON chat_sessions (updated_at)
    WHERE provider_state IS NOT NULL AND (deleted_at IS NOT NULL OR provider_state ->> 'turn' = 'open');
CREATE INDEX chat_sessions_running ON chat_sessions (updated_at) WHERE status = 'running';

-- Links by which anybody may read a session, one a session at most. The token is derived from `id` and SESSION_SECRET.
CREATE TABLE shares (
    chat_session_id uuid        PRIMARY KEY REFERENCES chat_sessions ON DELETE CASCADE,
    id              uuid        NOT NULL UNIQUE,
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz
);
CREATE INDEX shares_by_expiry ON shares (expires_at) WHERE expires_at IS NOT NULL;

-- Sessions whose rows are gone and whose events are being removed, a batch at a time.
CREATE TABLE purges (
    chat_session_id uuid        PRIMARY KEY,
    created_at      timestamptz NOT NULL DEFAULT now()
);

-- The row that every append, claim and prompt of a session locks first. Narrow, and with no index but its key, so that
-- each update is a heap-only tuple update that vacuum need not visit.
--   last_seq        newest event id of the session
--   fence           fencing token: only ever raised, by claim, take-over and whoever ends or releases a running run
--   ordinal         how many events the holder of `fence` has appended: makes a resent batch recognisable
--   running_run_id  the run being driven, if any; queued_runs: how many wait
CREATE TABLE session_heads (
    chat_session_id uuid    PRIMARY KEY,
    last_seq        bigint  NOT NULL DEFAULT 0,
    fence           bigint  NOT NULL DEFAULT 0,
    ordinal         bigint  NOT NULL DEFAULT 0,
    running_run_id  uuid,
    queued_runs     integer NOT NULL DEFAULT 0 CHECK (queued_runs >= 0)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

-- The log. No foreign key: checking one costs two thirds of the ingest rate; the head row stands for the session.
-- `data` is json, not jsonb: its text is sent to readers byte for byte.
-- A finished `message` names in `replacesFrom` the id of its first delta, so that the deltas may be removed later.
CREATE TABLE events (
    chat_session_id uuid        NOT NULL,
    seq             bigint      NOT NULL,
    run_id          uuid        NOT NULL,
    type            text        NOT NULL,
    data            json        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (chat_session_id, seq)
);

-- The prompt itself is the `user_message` event with id `prompt_seq`; queue order goes by it too.
-- `traceparent` (W3C Trace Context) is the span of the request that accepted the prompt: whoever drives the run, and be it
-- after a take-over, goes on with that trace. NULL while tracing is off.
-- `end_seq` is the id of the terminal event. `handovers` counts the attempts that began after a clean release: they are
-- not held against the run.
CREATE TABLE runs (
    chat_session_id        uuid        NOT NULL,
    id                     uuid        NOT NULL,
    prompt_seq             bigint      NOT NULL,
    provider               text        NOT NULL,
    model                  text,
    status                 text        NOT NULL DEFAULT 'queued'
                           CHECK (status IN ('queued', 'running', 'completed', 'failed', 'interrupted')),
    attempt                integer     NOT NULL DEFAULT 0,
    handovers              integer     NOT NULL DEFAULT 0,
    owner                  uuid,
    checkpoint             json,
    interrupt_requested_at timestamptz,
    interrupt_by           text,
    created_at             timestamptz NOT NULL DEFAULT now(),
    started_at             timestamptz,
    ended_at               timestamptz,
    end_seq                bigint,
    compacted_at           timestamptz,
    traceparent            text,
    PRIMARY KEY (chat_session_id, id)
) WITH (fillfactor = 70);
-- The last net under G3: whatever the code does, a session has one running run at most.
CREATE UNIQUE INDEX runs_one_running ON runs (chat_session_id) WHERE status = 'running';
CREATE INDEX runs_queue ON runs (chat_session_id, prompt_seq) WHERE status = 'queued';
CREATE INDEX runs_by_owner ON runs (owner) WHERE status = 'running';
CREATE INDEX runs_to_compact ON runs (ended_at) WHERE ended_at IS NOT NULL AND compacted_at IS NULL;

CREATE TABLE idempotency_keys (
    user_id         uuid        NOT NULL,
    route           text        NOT NULL,
    key             text        NOT NULL,
    body_hash       bytea       NOT NULL,
    chat_session_id uuid        NOT NULL,
    run_id          uuid        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, route, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Workspace files ----------------------------------------------------------------------------------------------------

-- What a user stores: the sum of their `session_files`, and of what their open uploads have reserved. Locked last.
CREATE TABLE user_storage (
    user_id        uuid   PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    used_bytes     bigint NOT NULL DEFAULT 0 CHECK (used_bytes >= 0),
    reserved_bytes bigint NOT NULL DEFAULT 0 CHECK (reserved_bytes >= 0)
) WITH (fillfactor = 50);

-- The truth about which files there are. The content is the object `chat_session_id/object_id` of the file store, which
-- is written once and never changed: another content is another object.
CREATE TABLE session_files (
    chat_session_id uuid             NOT NULL,
    path            text COLLATE "C" NOT NULL,
    user_id         uuid             NOT NULL,
    object_id       uuid             NOT NULL,
    size            bigint           NOT NULL CHECK (size >= 0),
    sha256          bytea            NOT NULL,
    content_type    text             NOT NULL,
    modified_at     timestamptz      NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (chat_session_id, path)
);

-- Objects that no file points to: being uploaded, until `expires_at` unless that is renewed; or to be removed.
-- Each is recorded before its object is written, so that whatever a crash leaves is known without listing the store.
CREATE TABLE loose_objects (
    id              uuid        PRIMARY KEY,
    chat_session_id uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    uploading       boolean     NOT NULL,
    reserved_bytes  bigint      NOT NULL CHECK (reserved_bytes >= 0),
    expires_at      timestamptz NOT NULL,
    CHECK (uploading OR reserved_bytes = 0)
) WITH (fillfactor = 70);
CREATE INDEX loose_objects_by_expiry ON loose_objects (expires_at);

-- The fleet ----------------------------------------------------------------------------------------------------------

-- One row an incarnation: a pod that restarts under its old name is another owner.
CREATE TABLE instances (
    id           uuid        PRIMARY KEY,
    container_id text        NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    draining     boolean     NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- Leadership for periodic work. A row, not an advisory lock, so that it works behind a transaction pooler.
-- `fencing` rises with each change of holder; work that must not run twice checks it.
CREATE TABLE leases (
    name        text        PRIMARY KEY,
    holder      uuid        NOT NULL,
    fencing     bigint      NOT NULL,
    expires_at  timestamptz NOT NULL,
    last_run_at timestamptz,
    last_count  bigint      NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

INSERT INTO schema_migrations (version, name)
VALUES (1, 'initial'), (2, 'retention'), (3, 'providers'), (4, 'sharing'), (5, 'files'),
       (6, 'login_secrets'), (7, 'tracing');
