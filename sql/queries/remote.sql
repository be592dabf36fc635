-- What lives elsewhere against what we know of it: the leader's sync. All are hints, judged again under the head's lock.

-- name: find_remote_leftovers
-- Remote sessions that may be at work though nothing of theirs runs here, and those of deleted sessions.
-- `$1`: sessions left alone for a while. Uses chat_sessions_remote.
SELECT s.id, s.user_id, s.provider_state::text AS state, s.deleted_at IS NOT NULL AS deleted
FROM chat_sessions s
JOIN session_heads h ON h.chat_session_id = s.id
WHERE s.provider_state IS NOT NULL
  AND (s.deleted_at IS NOT NULL OR s.provider_state ->> 'turn' = 'open')
  AND h.running_run_id IS NULL
  AND s.id <> ALL ($1::uuid[])
ORDER BY s.updated_at
LIMIT $2;

-- name: find_silent_remote_runs
-- Runs that are driven here but have said nothing for so long that the remote session is worth a look.
-- The running runs are few, and found by their partial index.
SELECT s.id, s.user_id, s.provider_state::text AS state, r.id AS run_id, h.fence
FROM runs r
JOIN session_heads h ON h.chat_session_id = r.chat_session_id AND h.running_run_id = r.id
JOIN chat_sessions s ON s.id = r.chat_session_id
JOIN events e ON e.chat_session_id = r.chat_session_id AND e.seq = h.last_seq
WHERE r.status = 'running'
  AND r.owner IS NOT NULL
  AND r.provider = ANY ($3::text[])
  AND s.provider_state ->> 'provider' = r.provider
  AND s.provider_state ->> 'turn' = 'open'
  AND e.created_at < clock_timestamp() - make_interval(secs => $4)
  AND s.id <> ALL ($1::uuid[])
ORDER BY e.created_at
LIMIT $2;

-- name: confirm_remote_state
-- Without a lock, right before a call: nothing runs or waits here, and the state is still the one that was judged.
SELECT s.id
FROM chat_sessions s
JOIN session_heads h ON h.chat_session_id = s.id
WHERE s.id = $1
  AND h.running_run_id IS NULL
  AND h.queued_runs = 0
  AND s.provider_state::text = $2;

-- name: replace_remote_state
-- Under the head's lock: only if nothing runs here now and the state is still the one that was judged.
UPDATE chat_sessions s
SET provider_state = $3::text::json
FROM session_heads h
WHERE s.id = $1
  AND h.chat_session_id = s.id
  AND h.running_run_id IS NULL
  AND s.provider_state::text = $2
RETURNING s.id;
