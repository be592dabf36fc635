-- Lock order of every transaction here: chat_sessions, loose_objects, session_files, user_storage. The last is one row
-- a user: whoever holds it may trust the sums in it, on every replica.

-- name: find_file
-- Names the owner: another user's file, and one of a deleted session, is not found.
SELECT f.path, f.object_id, f.size, f.sha256, f.content_type, f.modified_at
FROM session_files f
JOIN chat_sessions s ON s.id = f.chat_session_id
WHERE f.chat_session_id = $1 AND f.path = $3 AND s.user_id = $2 AND s.deleted_at IS NULL;

-- name: list_files
-- Rendered as the elements of a JSON array: thousands of rows cost the application nothing. No row: no such session.
SELECT coalesce(u.used_bytes, 0) AS used_bytes,
       (SELECT convert_to(string_agg(
                   '{"path":' || to_json(f.path) || ',"size":' || f.size || ',"modifiedAt":"'
                   || to_char(f.modified_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '"}',
                   ',' ORDER BY f.path), 'UTF8')
        FROM session_files f
        WHERE f.chat_session_id = s.id) AS items
FROM chat_sessions s
LEFT JOIN user_storage u ON u.user_id = s.user_id
WHERE s.id = $1 AND s.user_id = $2 AND s.deleted_at IS NULL;

-- name: hold_session
-- Until the transaction ends the session cannot be purged; that it is changed otherwise is no business of files.
SELECT id FROM chat_sessions WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL FOR KEY SHARE;

-- name: open_storage
INSERT INTO user_storage (user_id) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: lock_storage
-- What is judged by these sums stands in a later statement: this one may have waited.
SELECT used_bytes, reserved_bytes FROM user_storage WHERE user_id = $1 FOR NO KEY UPDATE;

-- name: change_storage
UPDATE user_storage
SET used_bytes = used_bytes + $2, reserved_bytes = reserved_bytes + $3
WHERE user_id = $1;

-- name: record_upload
INSERT INTO loose_objects (id, chat_session_id, user_id, uploading, reserved_bytes, expires_at)
VALUES ($1, $2, $3, true, $4, clock_timestamp() + make_interval(secs => $5));

-- name: find_upload
SELECT reserved_bytes FROM loose_objects WHERE id = $1 AND uploading;

-- name: lock_loose
SELECT user_id, uploading, reserved_bytes, expires_at < clock_timestamp() AS expired
FROM loose_objects
WHERE id = $1
FOR UPDATE;

-- name: extend_upload
-- Nothing is updated once somebody has given the upload up.
UPDATE loose_objects
SET reserved_bytes = $2, expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE id = $1 AND uploading
RETURNING id;

-- name: end_upload
-- The object, or what there is of it, is to be removed; by whoever uploaded it, and after a while by the sweep.
UPDATE loose_objects
SET uploading = false, reserved_bytes = 0, expires_at = clock_timestamp() + make_interval(secs => $2)
WHERE id = $1;

-- name: lock_file
SELECT object_id, size, sha256
FROM session_files
WHERE chat_session_id = $1 AND path = $2 AND user_id = $3
FOR UPDATE;

-- name: insert_file
INSERT INTO session_files (chat_session_id, path, user_id, object_id, size, sha256, content_type)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING
RETURNING modified_at;

-- name: replace_file
UPDATE session_files
SET object_id = $4, size = $5, sha256 = $6, content_type = $7, modified_at = clock_timestamp()
WHERE chat_session_id = $1 AND path = $2 AND user_id = $3
RETURNING modified_at;

-- name: has_too_many_files
-- Under the lock of the user's storage, so that uploads at the same time are counted.
SELECT count(*) > $2 FROM (SELECT FROM session_files WHERE chat_session_id = $1 LIMIT $2 + 1) f;

-- name: delete_file
DELETE FROM session_files WHERE chat_session_id = $1 AND path = $2;

-- name: delete_files
-- Some of a purged session's.
DELETE FROM session_files
WHERE chat_session_id = $1
  AND path = ANY (ARRAY(SELECT f.path FROM session_files f WHERE f.chat_session_id = $1 LIMIT $2))
RETURNING user_id, object_id, size;

-- name: loosen_objects
-- What no file points to any more; the sweep waits a little, for who loosens removes.
INSERT INTO loose_objects (id, chat_session_id, user_id, uploading, reserved_bytes, expires_at)
SELECT o.id, $1, $2, false, 0, clock_timestamp() + make_interval(secs => $4)
FROM unnest($3::uuid[]) AS o (id)
ON CONFLICT DO NOTHING;

-- name: find_loose
-- Uses loose_objects_by_expiry.
SELECT id, chat_session_id, uploading
FROM loose_objects
WHERE expires_at < clock_timestamp()
ORDER BY expires_at
LIMIT $1;

-- name: postpone_loose
-- What cannot be removed now does not stand in the way of the others.
UPDATE loose_objects SET expires_at = clock_timestamp() + make_interval(secs => $2) WHERE id = $1 AND NOT uploading;

-- name: forget_loose
DELETE FROM loose_objects WHERE id = $1;
