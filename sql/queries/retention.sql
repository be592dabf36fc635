-- Events are never changed, and those of an ended run never grow: removing some needs no lock on the head.

-- name: find_runs_to_compact
SELECT chat_session_id, id, prompt_seq, end_seq
FROM runs
WHERE ended_at IS NOT NULL AND compacted_at IS NULL AND ended_at < clock_timestamp() - make_interval(secs => $1)
ORDER BY ended_at
LIMIT $2;

-- name: delete_superseded_deltas
-- The deltas of messages that are also there whole, nothing between them. Whoever reads across the gap finds it
-- explained by the `message`, whose `replacesFrom` is at or below it and whose own id is above.
WITH whole AS MATERIALIZED (
    SELECT m.seq, m.data ->> 'messageId' AS message_id, (m.data ->> 'replacesFrom')::bigint AS first_seq
    FROM events m
    WHERE m.chat_session_id = $1 AND m.run_id = $2 AND m.seq BETWEEN $3 AND $4 AND m.type = 'message'
)
DELETE FROM events
WHERE chat_session_id = $1 -- a ctid alone is not unique once `events` is partitioned
  AND ctid = ANY (ARRAY(
    SELECT d.ctid
    FROM whole w
    JOIN events d ON d.chat_session_id = $1 AND d.seq >= w.first_seq AND d.seq < w.seq
    WHERE d.run_id = $2
      AND d.type IN ('text_delta', 'thinking_delta')
      AND d.data ->> 'messageId' = w.message_id
    LIMIT $5
));

-- name: mark_compacted
UPDATE runs SET compacted_at = clock_timestamp() WHERE chat_session_id = $1 AND id = $2 AND compacted_at IS NULL;

-- name: find_trash
SELECT s.id
FROM chat_sessions s
JOIN session_heads h ON h.chat_session_id = s.id
WHERE s.deleted_at < clock_timestamp() - make_interval(secs => $1)
  AND h.running_run_id IS NULL AND h.queued_runs = 0
ORDER BY s.deleted_at
LIMIT $2;

-- name: purge_session
-- Under the head's lock, and judged again: it may have been restored meanwhile. From here on nobody finds the session;
-- its events and files, many perhaps, are removed in batches by `delete_purged_events` and `delete_files`.
WITH gone AS (
    DELETE FROM chat_sessions
    WHERE id = $1 AND deleted_at < clock_timestamp() - make_interval(secs => $2)
    RETURNING id
), noted AS (
    INSERT INTO purges (chat_session_id) SELECT id FROM gone ON CONFLICT DO NOTHING
), runs_gone AS (
    DELETE FROM runs USING gone WHERE runs.chat_session_id = gone.id
), keys_gone AS (
    DELETE FROM idempotency_keys USING gone WHERE idempotency_keys.chat_session_id = gone.id
)
DELETE FROM session_heads USING gone WHERE session_heads.chat_session_id = gone.id
RETURNING gone.id;

-- name: find_purges
SELECT chat_session_id FROM purges ORDER BY created_at LIMIT $1;

-- name: delete_purged_events
DELETE FROM events
WHERE chat_session_id = $1
  AND ctid = ANY (ARRAY(SELECT e.ctid FROM events e WHERE e.chat_session_id = $1 LIMIT $2));

-- name: finish_purge
DELETE FROM purges WHERE chat_session_id = $1;
