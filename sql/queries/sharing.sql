-- What an owner does names the owner; what a stranger does names the link, its expiry and its session's trash, all of it
-- in the query itself and by the clock of the database.

-- name: share_session
-- Again means the same link, with the expiry that is asked for now. Only one that has expired is replaced: it is not
-- brought back to life for those who still have it. The session's row is locked against whoever deletes it, so that no
-- link is made behind the deletion that takes links away.
WITH mine AS MATERIALIZED (
    SELECT id FROM chat_sessions WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL FOR SHARE
)
INSERT INTO shares AS sh (chat_session_id, id, expires_at)
SELECT id, $3, now() + make_interval(hours => 24 * $4::integer) FROM mine
ON CONFLICT (chat_session_id) DO UPDATE
SET id = CASE WHEN sh.expires_at <= now() THEN excluded.id ELSE sh.id END,
    expires_at = excluded.expires_at
RETURNING id, expires_at;

-- name: unshare_session
-- No row: no such session of this user. `link_id` is null when it was not shared.
WITH mine AS (
    SELECT id FROM chat_sessions WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL
), gone AS (
    DELETE FROM shares USING mine WHERE shares.chat_session_id = mine.id RETURNING shares.id
)
SELECT mine.id, gone.id AS link_id FROM mine LEFT JOIN gone ON true;

-- name: drop_share
-- Of a session that was just deleted, in a statement of its own behind that: a link that was made while the deletion
-- waited for the session's row is in no earlier snapshot.
DELETE FROM shares WHERE chat_session_id = $1;

-- name: find_shared
SELECT sh.id AS link_id, sh.chat_session_id AS session_id, sh.expires_at, coalesce(sh.expires_at <= now(), false) AS expired,
       s.title, s.status, s.provider, s.model, h.last_seq AS last_event_id, s.created_at, s.updated_at, s.completed_at
FROM shares sh
JOIN chat_sessions s ON s.id = sh.chat_session_id
JOIN session_heads h ON h.chat_session_id = s.id
WHERE sh.id = $1 AND s.deleted_at IS NULL;

-- name: purge_shares
-- Until then an expired link says that it has expired.
DELETE FROM shares WHERE expires_at < now() - interval '30 days';
