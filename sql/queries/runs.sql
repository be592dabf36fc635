-- Everything that changes a run or a session's queue holds the session's head first (FOR NO KEY UPDATE), judges in a
-- second statement (a fresh snapshot), and writes in a third. Only three statements write: insert_prompt,
-- start_attempt, end_run; the append (events.sql) is the fourth, for the holder of the fence.

-- name: lock_head
-- Waits, bounded by lock_timeout: for requests of a person.
SELECT last_seq, fence, running_run_id, queued_runs
FROM session_heads
WHERE chat_session_id = $1
FOR NO KEY UPDATE;

-- name: try_lock_head
-- Does not wait: for claim, take-over and sweep, which will come again.
SELECT last_seq, fence, running_run_id, queued_runs
FROM session_heads
WHERE chat_session_id = $1
FOR NO KEY UPDATE SKIP LOCKED;

-- name: find_idempotent_run
SELECT k.body_hash, k.chat_session_id, k.run_id, r.prompt_seq, r.status
FROM idempotency_keys k
JOIN runs r ON r.chat_session_id = k.chat_session_id AND r.id = k.run_id
WHERE k.user_id = $1 AND k.route = $2 AND k.key = $3 AND k.created_at > now() - interval '24 hours';

-- name: delete_expired_key
DELETE FROM idempotency_keys
WHERE user_id = $1 AND route = $2 AND key = $3 AND created_at <= now() - interval '24 hours';

-- name: insert_idempotency_key
-- Waits for a concurrent request with the same key; what that one stored is read in a second statement.
INSERT INTO idempotency_keys (user_id, route, key, body_hash, chat_session_id, run_id)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
RETURNING run_id;

-- name: find_session_for_prompt
SELECT provider, model FROM chat_sessions WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL;

-- name: insert_session
-- The id was made before the first try: a transaction tried again finds its own rows and changes nothing.
WITH session AS (
    INSERT INTO chat_sessions (id, user_id, title, status, provider, model, repository_url, branch)
    VALUES ($1, $2, $3, 'pending', $4, $5, $6, $7)
    ON CONFLICT DO NOTHING
)
INSERT INTO session_heads (chat_session_id) VALUES ($1) ON CONFLICT DO NOTHING;

-- name: insert_prompt
-- Accepts a prompt: its `user_message`, its run, the queue. Under the head's lock; does not look at the fence, for
-- prompts are nobody's to drive. `position` counts the runs before it.
WITH head AS (
    UPDATE session_heads
    SET last_seq = last_seq + 1, queued_runs = queued_runs + 1
    WHERE chat_session_id = $1
    RETURNING last_seq, running_run_id, queued_runs
), logged AS (
    INSERT INTO events (chat_session_id, seq, run_id, type, data)
    SELECT $1, last_seq, $2, 'user_message', $3::text::json FROM head
), queued AS (
    INSERT INTO runs (chat_session_id, id, prompt_seq, provider, model, traceparent)
    SELECT $1, $2, last_seq, $4, $5, $6 FROM head
), told AS (
    UPDATE chat_sessions
    SET status = CASE WHEN head.running_run_id IS NULL THEN 'pending' ELSE 'running' END,
        provider = $4, model = $5, completed_at = NULL, updated_at = clock_timestamp()
    FROM head
    WHERE id = $1
)
SELECT last_seq, queued_runs - 1 + (running_run_id IS NOT NULL)::integer AS position FROM head;

-- name: find_run
SELECT id, status, prompt_seq, end_seq, interrupt_requested_at
FROM runs
WHERE chat_session_id = $1 AND id = $2;

-- name: find_run_to_interrupt
-- Under the head's lock: the running run, else the head of the queue.
SELECT id, status
FROM runs
WHERE chat_session_id = $1 AND status IN ('running', 'queued')
ORDER BY status = 'running' DESC, prompt_seq
LIMIT 1;

-- name: find_queued_runs
SELECT id FROM runs WHERE chat_session_id = $1 AND status = 'queued' ORDER BY prompt_seq;

-- name: request_interrupt
-- Durable and idempotent: the first request stays. Honoured by whoever drives the run, now or after a take-over.
UPDATE runs
SET interrupt_requested_at = coalesce(interrupt_requested_at, clock_timestamp()),
    interrupt_by = coalesce(interrupt_by, $3)
WHERE chat_session_id = $1 AND id = $2 AND status = 'running';

-- name: find_claimable
-- Sessions where something waits and nothing runs, longest waiting first. A hint: judged again under the lock.
-- `$1`: the providers that this replica knows, `$2`: sessions that it could not claim a moment ago.
SELECT r.chat_session_id
FROM runs r
JOIN session_heads h ON h.chat_session_id = r.chat_session_id
JOIN chat_sessions s ON s.id = r.chat_session_id
WHERE r.status = 'queued' AND h.running_run_id IS NULL AND s.deleted_at IS NULL
  AND r.provider = ANY ($1::text[])
  AND r.chat_session_id <> ALL ($2::uuid[])
GROUP BY r.chat_session_id
ORDER BY min(r.created_at)
LIMIT $3;

-- name: read_next_run
-- Under the head's lock: the head of the queue, if nothing runs and the session was not deleted.
SELECT r.id, r.prompt_seq, r.provider, r.model, r.attempt, r.checkpoint, r.traceparent,
       s.user_id, s.provider_state, s.repository_url, s.branch, e.data AS prompt
FROM session_heads h
JOIN chat_sessions s ON s.id = h.chat_session_id AND s.deleted_at IS NULL
JOIN runs r ON r.chat_session_id = h.chat_session_id AND r.status = 'queued'
JOIN events e ON e.chat_session_id = h.chat_session_id AND e.seq = r.prompt_seq
WHERE h.chat_session_id = $1 AND h.running_run_id IS NULL
ORDER BY r.prompt_seq
LIMIT 1;

-- name: find_abandoned
-- Running runs whose owner is gone: released (no owner), unknown, or silent for a lease by the database's clock.
-- `$2` is a replica's own id: a run of its own that it does not drive (listed in `$3`) counts as abandoned too.
-- `$4` and `$5` as in `find_claimable`.
SELECT r.chat_session_id
FROM runs r
LEFT JOIN instances i ON i.id = r.owner
WHERE r.status = 'running'
  AND (i.id IS NULL OR i.heartbeat_at < clock_timestamp() - make_interval(secs => $1)
       OR (r.owner = $2 AND r.id = ANY ($3::uuid[])))
  AND r.provider = ANY ($4::text[])
  AND r.chat_session_id <> ALL ($5::uuid[])
ORDER BY random() -- replicas that look at the same moment should not all try the same
LIMIT $6;

-- name: read_abandoned_run
-- Under the head's lock: the owner's heartbeat is read again here, because it may have come while the lock was waited for.
-- A run that was handed over has no owner.
SELECT r.id, r.owner, r.prompt_seq, r.provider, r.model, r.attempt, r.handovers, r.checkpoint, r.interrupt_by,
       r.traceparent,
       s.user_id, s.provider_state, s.repository_url, s.branch, e.data AS prompt
FROM session_heads h
JOIN chat_sessions s ON s.id = h.chat_session_id
JOIN runs r ON r.chat_session_id = h.chat_session_id AND r.id = h.running_run_id AND r.status = 'running'
JOIN events e ON e.chat_session_id = h.chat_session_id AND e.seq = r.prompt_seq
LEFT JOIN instances i ON i.id = r.owner
WHERE h.chat_session_id = $1
  AND (i.id IS NULL OR i.heartbeat_at < clock_timestamp() - make_interval(secs => $2)
       OR (r.owner = $3 AND r.id = ANY ($4::uuid[])));

-- name: start_attempt
-- Claim and take-over: the one statement that gives a run an owner. Raises the fence, so that whoever drove it before
-- cannot append one more event, and begins the ordinals anew. `$6` is 1 for a run out of the queue, else 0.
WITH head AS (
    UPDATE session_heads
    SET fence = fence + 1, ordinal = 0, last_seq = last_seq + 1, running_run_id = $2, queued_runs = queued_runs - $6
    WHERE chat_session_id = $1
    RETURNING fence, last_seq
), driven AS (
    UPDATE runs
    SET status = 'running', owner = $3, attempt = attempt + 1, started_at = coalesce(started_at, clock_timestamp())
    WHERE chat_session_id = $1 AND id = $2
    RETURNING attempt, extract(epoch FROM clock_timestamp() - started_at) * 1000 AS elapsed_ms
), logged AS (
    INSERT INTO events (chat_session_id, seq, run_id, type, data)
    SELECT $1, last_seq, $2, $4, $5::text::json FROM head
), told AS (
    UPDATE chat_sessions
    SET status = 'running', updated_at = clock_timestamp()
    WHERE id = $1 AND status <> 'running'
)
SELECT head.fence, driven.attempt, driven.elapsed_ms::float8 AS elapsed_ms FROM head, driven;

-- name: end_run
-- Ends a run that its driver does not end: a queued one, an orphan, one with too many attempts. Ending a running run
-- raises the fence; ending a queued one does not, for that would throw out the driver of another run.
WITH run AS (
    SELECT status = 'running' AS was_running FROM runs WHERE chat_session_id = $1 AND id = $2
), head AS (
    UPDATE session_heads
    SET last_seq = last_seq + 1,
        fence = fence + run.was_running::integer,
        running_run_id = CASE WHEN run.was_running THEN NULL ELSE running_run_id END,
        queued_runs = queued_runs - (NOT run.was_running)::integer
    FROM run
    WHERE chat_session_id = $1
    RETURNING last_seq, running_run_id, queued_runs
), ended AS (
    UPDATE runs
    SET status = $3, ended_at = clock_timestamp(), end_seq = head.last_seq
    FROM head
    WHERE chat_session_id = $1 AND id = $2
), logged AS (
    INSERT INTO events (chat_session_id, seq, run_id, type, data)
    SELECT $1, last_seq, $2, $3, $4::text::json FROM head
), told AS (
    UPDATE chat_sessions
    SET status = CASE WHEN head.running_run_id IS NOT NULL THEN 'running'
                      WHEN head.queued_runs > 0 THEN 'pending'
                      ELSE $3 END,
        completed_at = CASE WHEN head.running_run_id IS NULL AND head.queued_runs = 0 THEN clock_timestamp() END,
        updated_at = clock_timestamp()
    FROM head
    WHERE id = $1
)
SELECT last_seq, queued_runs FROM head;

-- name: release_run
-- Hand-over: the run stays `running` and the first of its queue, but has no owner; the fence rises, so that its old
-- driver is done with it. Only by the holder of the fence. The next attempt is not counted against the run.
WITH head AS (
    UPDATE session_heads
    SET fence = fence + 1
    WHERE chat_session_id = $1 AND running_run_id = $2 AND fence = $3
    RETURNING chat_session_id
)
UPDATE runs r
SET owner = NULL, handovers = handovers + 1
FROM head
WHERE r.chat_session_id = head.chat_session_id AND r.id = $2
RETURNING r.id;

-- name: read_fence
-- Without a lock: a driver asks, before it does outside what cannot be undone, whether it was thrown out.
SELECT fence FROM session_heads WHERE chat_session_id = $1;

-- name: list_owned
-- Every heartbeat: what the database says this replica drives, with the fence and any interrupt asked for.
SELECT r.chat_session_id, r.id, h.fence, r.interrupt_by
FROM runs r
JOIN session_heads h ON h.chat_session_id = r.chat_session_id
WHERE r.owner = $1 AND r.status = 'running';

-- name: list_interrupts
SELECT r.chat_session_id, r.id, r.interrupt_by
FROM runs r
WHERE r.owner = $1 AND r.status = 'running' AND r.interrupt_requested_at IS NOT NULL;

-- name: find_orphans
-- The second net under the leases: sessions that say `running` but were quiet for long and have no living owner.
-- Quiet: no event and no change since. A healthy old run is never here: its owner's heartbeat is young.
SELECT s.id
FROM chat_sessions s
JOIN session_heads h ON h.chat_session_id = s.id
LEFT JOIN runs r ON r.chat_session_id = s.id AND r.id = h.running_run_id
LEFT JOIN instances i ON i.id = r.owner
WHERE s.status = 'running'
  AND s.updated_at < clock_timestamp() - make_interval(secs => $1)
  AND (i.id IS NULL OR i.heartbeat_at < clock_timestamp() - make_interval(secs => $2))
  AND NOT EXISTS (
      SELECT FROM events e
      WHERE e.chat_session_id = s.id AND e.seq = h.last_seq
        AND e.created_at > clock_timestamp() - make_interval(secs => $1)
  )
ORDER BY s.updated_at
LIMIT $3;

-- name: read_orphan
-- Under the head's lock: the orphan again, by a fresh snapshot. `logged_*`: how the running run ended, if the log itself
-- says so; `last_status`: how the session's last ended run ended, for when nothing runs at all.
SELECT h.running_run_id, h.queued_runs, ending.type AS logged_outcome, ending.seq AS logged_end_seq,
       (SELECT l.status FROM runs l
        WHERE l.chat_session_id = s.id AND l.ended_at IS NOT NULL
        ORDER BY l.prompt_seq DESC LIMIT 1) AS last_status
FROM chat_sessions s
JOIN session_heads h ON h.chat_session_id = s.id
LEFT JOIN runs r ON r.chat_session_id = s.id AND r.id = h.running_run_id
LEFT JOIN instances i ON i.id = r.owner
LEFT JOIN LATERAL (
    SELECT e.type, e.seq
    FROM events e
    WHERE e.chat_session_id = s.id AND e.run_id = r.id AND e.seq > r.prompt_seq
      AND e.type IN ('completed', 'failed', 'interrupted')
    ORDER BY e.seq
    LIMIT 1
) ending ON true
WHERE s.id = $1
  AND s.status = 'running'
  AND s.updated_at < clock_timestamp() - make_interval(secs => $2)
  AND (i.id IS NULL OR i.heartbeat_at < clock_timestamp() - make_interval(secs => $3));

-- name: settle_status
UPDATE chat_sessions
SET status = $2, updated_at = clock_timestamp(),
    completed_at = CASE WHEN $2 <> 'pending' THEN clock_timestamp() END
WHERE id = $1;

-- name: adopt_logged_outcome
-- The log already says how the run ended; only the columns did not follow. No second terminal event.
WITH head AS (
    UPDATE session_heads
    SET fence = fence + 1, running_run_id = NULL
    WHERE chat_session_id = $1
    RETURNING queued_runs
), ended AS (
    UPDATE runs SET status = $3, ended_at = clock_timestamp(), end_seq = $4
    WHERE chat_session_id = $1 AND id = $2
)
UPDATE chat_sessions
SET status = CASE WHEN head.queued_runs > 0 THEN 'pending' ELSE $3 END,
    completed_at = clock_timestamp(), updated_at = clock_timestamp()
FROM head
WHERE id = $1;

-- name: purge_idempotency_keys
DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours';

-- name: count_runs
-- Two counts, each out of its partial index.
SELECT (SELECT count(*) FROM runs WHERE status = 'running') AS active,
       (SELECT count(*) FROM runs WHERE status = 'queued') AS queued;
