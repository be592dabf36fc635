-- Every question names the owner: another user's session is not found, in the query itself.

-- name: find_session
SELECT s.id, s.title, s.status, s.provider, s.model, s.repository_url, s.branch, s.favorite, h.last_seq AS last_event_id,
       s.created_at, s.updated_at, s.completed_at, s.deleted_at
FROM chat_sessions s
JOIN session_heads h ON h.chat_session_id = s.id
WHERE s.id = $1 AND s.user_id = $2;

-- name: find_head
-- What a reader needs before its stream begins; a deleted session has no stream.
SELECT h.last_seq, h.running_run_id IS NULL AND h.queued_runs = 0 AS idle, s.status
FROM chat_sessions s
JOIN session_heads h ON h.chat_session_id = s.id
WHERE s.id = $1 AND s.user_id = $2 AND s.deleted_at IS NULL;

-- name: list_sessions
-- Keyset pages, newest first; uses chat_sessions_by_user.
SELECT s.id, s.title, s.status, s.provider, s.model, s.repository_url, s.branch, s.favorite, h.last_seq AS last_event_id,
       s.created_at, s.updated_at, s.completed_at, s.deleted_at
FROM chat_sessions s
JOIN session_heads h ON h.chat_session_id = s.id
WHERE s.user_id = $1
  AND (s.deleted_at IS NOT NULL) = $2::boolean
  AND ($3::text IS NULL OR s.status = $3)
  AND ($4::text IS NULL OR strpos(lower(s.title), lower($4)) > 0)
  AND ($5::boolean IS NULL OR s.favorite = $5)
  AND (s.created_at, s.id) < (coalesce($6::timestamptz, 'infinity'),
                              coalesce($7::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
ORDER BY s.created_at DESC, s.id DESC
LIMIT $8;

-- name: list_changed_sessions
-- For the list stream: what was changed last, deleted ones included; uses chat_sessions_by_change.
SELECT s.id, s.title, s.status, s.provider, s.model, s.repository_url, s.branch, s.favorite, h.last_seq AS last_event_id,
       s.created_at, s.updated_at, s.completed_at, s.deleted_at
FROM chat_sessions s
JOIN session_heads h ON h.chat_session_id = s.id
WHERE s.user_id = $1 AND s.updated_at >= $2
ORDER BY s.updated_at DESC
LIMIT $3;

-- name: list_changed_users
-- The sweep's one question for all open list streams: whose list changed lately?
SELECT u.user_id, (SELECT max(s.updated_at) FROM chat_sessions s WHERE s.user_id = u.user_id) AS updated_at
FROM unnest($1::uuid[]) AS u (user_id);

-- name: update_session
UPDATE chat_sessions
SET title = coalesce($3, title), favorite = coalesce($4, favorite), updated_at = clock_timestamp()
WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL
RETURNING id;

-- name: mark_deleted
-- Under the head's lock.
UPDATE chat_sessions
SET deleted_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL
RETURNING id;

-- name: restore_session
-- A share link is still there only if a version that knew of none has deleted the session.
WITH restored AS (
    UPDATE chat_sessions
    SET deleted_at = NULL, updated_at = clock_timestamp()
    WHERE id = $1 AND user_id = $2 AND deleted_at IS NOT NULL
    RETURNING id
), unshared AS (
    DELETE FROM shares USING restored WHERE shares.chat_session_id = restored.id
)
SELECT id FROM restored;
