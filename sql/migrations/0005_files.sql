-- Workspace files: what there is, how much of it each user may still store, and which objects belong to nothing.

CREATE TABLE user_storage (
    user_id        uuid   PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    used_bytes     bigint NOT NULL DEFAULT 0 CHECK (used_bytes >= 0),
    reserved_bytes bigint NOT NULL DEFAULT 0 CHECK (reserved_bytes >= 0)
) WITH (fillfactor = 50);

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

INSERT INTO schema_migrations (version, name) VALUES (5, 'files');
