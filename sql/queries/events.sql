-- name: append_batch
-- The one write path of drivers: a batch of entries, at most one a session, all or nothing for each entry.
-- Invariant: an entry is stored if and only if the locked head still has the entry's fence and its ordinal is the one
-- before the entry's first. Both stand in the row that is locked, because after a lock wait READ COMMITTED re-checks
-- only that row; everything else is judged by the old snapshot. So a zombie (older fence) stores nothing, and a resend
-- (ordinal already there) stores nothing twice.
-- SKIP LOCKED: a head held by somebody else, even by a frozen peer, delays only its own session; the caller sends that
-- entry again, unchanged. The order by id keeps two writers from a deadlock. Heads first, then runs, then the rest.
WITH entry AS (
    SELECT *
    FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::integer[], $5::uuid[], $6::text[], $7::text[], $8::text[])
         WITH ORDINALITY
         AS e (chat_session_id, fence, first_ordinal, n, run_id, checkpoint, provider_state, outcome, entry)
), locked AS (
    SELECT h.chat_session_id, h.fence, h.ordinal, h.last_seq
    FROM session_heads h
    WHERE h.chat_session_id = ANY ($1::uuid[])
    ORDER BY h.chat_session_id
    FOR NO KEY UPDATE SKIP LOCKED
), advanced AS (
    UPDATE session_heads h
    SET last_seq = h.last_seq + e.n,
        ordinal = e.first_ordinal - 1 + e.n,
        running_run_id = CASE WHEN e.outcome IS NULL THEN h.running_run_id END
    FROM entry e
    JOIN locked l ON l.chat_session_id = e.chat_session_id
    WHERE h.chat_session_id = l.chat_session_id
      AND h.fence = e.fence
      AND h.ordinal = e.first_ordinal - 1
    RETURNING h.chat_session_id, h.last_seq - e.n AS base, h.queued_runs,
              e.entry, e.n, e.run_id, e.checkpoint, e.provider_state, e.outcome
), inserted AS (
    INSERT INTO events (chat_session_id, seq, run_id, type, data, created_at)
    SELECT a.chat_session_id, a.base + v.k, a.run_id, v.type, v.data::json, clock_timestamp()
    FROM unnest($9::bigint[], $10::integer[], $11::text[], $12::text[]) AS v (entry, k, type, data)
    JOIN advanced a ON a.entry = v.entry
), driven AS (
    UPDATE runs r
    SET checkpoint = coalesce(a.checkpoint::json, r.checkpoint),
        status = coalesce(a.outcome, r.status),
        ended_at = CASE WHEN a.outcome IS NOT NULL THEN clock_timestamp() END,
        end_seq = CASE WHEN a.outcome IS NOT NULL THEN a.base + a.n END
    FROM advanced a
    WHERE (a.checkpoint IS NOT NULL OR a.outcome IS NOT NULL)
      AND r.chat_session_id = a.chat_session_id
      AND r.id = a.run_id
), told AS (
    UPDATE chat_sessions s
    SET provider_state = coalesce(a.provider_state::json, s.provider_state),
        status = CASE WHEN a.outcome IS NULL THEN s.status WHEN a.queued_runs > 0 THEN 'pending' ELSE a.outcome END,
        completed_at = CASE WHEN a.outcome IS NULL OR a.queued_runs > 0 THEN s.completed_at ELSE clock_timestamp() END,
        updated_at = CASE WHEN a.outcome IS NULL THEN s.updated_at ELSE clock_timestamp() END
    FROM advanced a
    WHERE (a.outcome IS NOT NULL OR a.provider_state IS NOT NULL)
      AND s.id = a.chat_session_id
)
SELECT e.chat_session_id,
       CASE WHEN l.chat_session_id IS NOT NULL THEN true
            ELSE EXISTS (SELECT FROM session_heads h WHERE h.chat_session_id = e.chat_session_id)
       END AS known,
       l.fence, l.ordinal, l.last_seq, a.base, a.queued_runs
FROM entry e
LEFT JOIN locked l ON l.chat_session_id = e.chat_session_id
LEFT JOIN advanced a ON a.chat_session_id = e.chat_session_id
ORDER BY e.entry;

-- name: find_last_seq_of_run
-- After an answer was lost and the batch proved stored: its events are the newest of this run, in one block, because
-- whoever else writes into the session writes under another run.
SELECT seq FROM events WHERE chat_session_id = $1 AND run_id = $2 ORDER BY seq DESC LIMIT 1;

-- name: read_page
-- Replay: the frames of a page as the bytes that go to the reader, bounded in rows and in bytes (one event at least).
-- Reads the primary key in order; the window sum stops the page, not the scan, hence the inner LIMIT.
SELECT convert_to(string_agg('id: ' || p.seq || E'\nevent: ' || p.type || E'\ndata: ' || p.data || E'\n\n', ''), 'UTF8')
           AS frames,
       max(p.seq) AS last_seq,
       count(*) AS rows
FROM (
    SELECT q.seq, q.type, q.data, sum(octet_length(q.data)) OVER (ORDER BY q.seq) - octet_length(q.data) AS bytes_before
    FROM (
        SELECT e.seq, e.type, e.data::text AS data
        FROM events e
        WHERE e.chat_session_id = $1
          AND e.seq > $2
          AND e.seq <= $3
          AND ($6::boolean OR e.type NOT IN ('text_delta', 'thinking_delta'))
        ORDER BY e.seq
        LIMIT $4
    ) q
) p
WHERE p.bytes_before < $5;

-- name: read_tail
-- One statement, one snapshot: how far the log goes, whether anything runs or waits, and the next page after a position.
-- A stream may end only on what this statement says: idle, and last_seq equal to the cursor.
SELECT h.last_seq,
       h.running_run_id IS NULL AND h.queued_runs = 0 AS idle,
       s.status,
       s.deleted_at IS NOT NULL AS deleted,
       p.frames,
       p.last_seq AS page_last_seq,
       coalesce(p.rows, 0) AS rows,
       p.ended_runs,
       p.ended_seqs
FROM session_heads h
JOIN chat_sessions s ON s.id = h.chat_session_id
CROSS JOIN LATERAL (
    SELECT convert_to(string_agg('id: ' || p.seq || E'\nevent: ' || p.type || E'\ndata: ' || p.data || E'\n\n', ''), 'UTF8')
               AS frames,
           max(p.seq) AS last_seq,
           count(*) AS rows,
           array_agg(p.run_id) FILTER (WHERE p.type IN ('completed', 'failed', 'interrupted')) AS ended_runs,
           array_agg(p.seq) FILTER (WHERE p.type IN ('completed', 'failed', 'interrupted')) AS ended_seqs
    FROM (
        SELECT q.seq, q.run_id, q.type, q.data,
               sum(octet_length(q.data)) OVER (ORDER BY q.seq) - octet_length(q.data) AS bytes_before
        FROM (
            SELECT e.seq, e.run_id, e.type, e.data::text AS data
            FROM events e
            WHERE e.chat_session_id = h.chat_session_id
              AND e.seq > $2
              AND e.seq <= h.last_seq
              AND ($5::boolean OR e.type NOT IN ('text_delta', 'thinking_delta'))
            ORDER BY e.seq
            LIMIT $3
        ) q
    ) p
    WHERE p.bytes_before < $4
) p
WHERE h.chat_session_id = $1;

-- name: read_head
SELECT h.last_seq, h.running_run_id IS NULL AND h.queued_runs = 0 AS idle, s.status, s.deleted_at IS NOT NULL AS deleted
FROM session_heads h
JOIN chat_sessions s ON s.id = h.chat_session_id
WHERE h.chat_session_id = $1;

-- name: read_json_page
-- The same page for clients without SSE, rendered as the elements of a JSON array; `data` is passed through verbatim.
SELECT convert_to(string_agg(
           '{"id":' || p.seq || ',"type":"' || p.type || '","data":' || p.data || ',"runId":"' || p.run_id
           || '","createdAt":"' || to_char(p.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"}', ','),
           'UTF8') AS items,
       max(p.seq) AS last_seq,
       count(*) AS rows
FROM (
    SELECT q.*, sum(octet_length(q.data)) OVER (ORDER BY q.seq) - octet_length(q.data) AS bytes_before
    FROM (
        SELECT e.seq, e.run_id, e.type, e.data::text AS data, e.created_at
        FROM events e
        WHERE e.chat_session_id = $1 AND e.seq > $2
        ORDER BY e.seq
        LIMIT $3
    ) q
) p
WHERE p.bytes_before < $4;

-- name: compare_positions
-- The sweep's one question for all open tails: which sessions have moved on, or been deleted, without us hearing of it?
SELECT h.chat_session_id, h.last_seq, h.running_run_id IS NULL AND h.queued_runs = 0 AS idle,
       s.deleted_at IS NOT NULL AS deleted
FROM session_heads h
JOIN chat_sessions s ON s.id = h.chat_session_id
WHERE h.chat_session_id = ANY ($1::uuid[]);

-- name: find_open_messages
-- After a take-over: the messages of this run that have deltas but no `message` event yet, with the id of the first
-- delta (what `replacesFrom` must say).
SELECT d.data ->> 'messageId' AS message_id, min(d.seq) AS first_seq
FROM events d
WHERE d.chat_session_id = $1
  AND d.run_id = $2
  AND d.seq > $3
  AND d.type IN ('text_delta', 'thinking_delta')
  AND NOT EXISTS (
      SELECT FROM events m
      WHERE m.chat_session_id = $1
        AND m.run_id = $2
        AND m.type = 'message'
        AND m.data ->> 'messageId' = d.data ->> 'messageId'
  )
GROUP BY 1;

-- name: read_conversation
-- The turns before a prompt, oldest first: what users said and what finished messages answered, run by run.
-- Without the prompts that the provider refused for what is in them: with them every later one would be refused, too.
SELECT e.type, e.data
FROM events e
JOIN runs r ON r.chat_session_id = e.chat_session_id AND r.id = e.run_id
WHERE e.chat_session_id = $1
  AND r.prompt_seq < $2
  AND e.type IN ('user_message', 'message', 'tool_result')
  AND NOT EXISTS (
      SELECT FROM events f
      WHERE r.status = 'failed'
        AND f.chat_session_id = r.chat_session_id AND f.seq = r.end_seq
        AND f.data ->> 'code' IN ('provider_refused', 'provider_request_too_large')
  )
ORDER BY r.prompt_seq, e.seq;
