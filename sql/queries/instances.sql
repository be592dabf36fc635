-- name: beat
-- One row an incarnation. Whoever purged it (an hour of silence) does not end us: the row comes back.
INSERT INTO instances AS i (id, container_id, draining)
VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET heartbeat_at = clock_timestamp(), draining = excluded.draining
RETURNING heartbeat_at;

-- name: remove_instance
DELETE FROM instances WHERE id = $1;

-- name: list_instances
SELECT i.id, i.container_id, i.started_at, i.heartbeat_at, i.draining,
       (SELECT count(*) FROM runs r WHERE r.owner = i.id AND r.status = 'running') AS active_runs
FROM instances i
WHERE i.heartbeat_at > clock_timestamp() - make_interval(secs => $1)
ORDER BY i.started_at, i.id;

-- name: purge_instances
DELETE FROM instances i
WHERE i.heartbeat_at < clock_timestamp() - interval '1 hour'
  AND NOT EXISTS (SELECT FROM runs r WHERE r.owner = i.id AND r.status = 'running');

-- name: acquire_lease
-- Take the lease if it is free or expired, prolong it if it is ours. `fencing` rises with each new holder, also when
-- the same replica comes back after it had expired. No row: somebody else holds it.
INSERT INTO leases AS l (name, holder, fencing, expires_at)
VALUES ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (name) DO UPDATE
SET fencing = l.fencing + (l.holder <> excluded.holder OR l.expires_at < clock_timestamp())::integer,
    holder = excluded.holder,
    expires_at = excluded.expires_at
WHERE l.holder = excluded.holder OR l.expires_at < clock_timestamp()
RETURNING fencing;

-- name: confirm_lease
-- Inside the transaction of the work itself: still ours? Locks the row, so that a successor waits for our commit.
SELECT fencing FROM leases WHERE name = $1 AND holder = $2 AND fencing = $3 AND expires_at > clock_timestamp() FOR UPDATE;

-- name: record_lease_run
UPDATE leases SET last_run_at = clock_timestamp(), last_count = $4 WHERE name = $1 AND holder = $2 AND fencing = $3;

-- name: release_lease
UPDATE leases SET expires_at = clock_timestamp() WHERE name = $1 AND holder = $2;

-- name: read_lease
SELECT l.last_run_at, l.last_count, i.container_id AS leader
FROM leases l
LEFT JOIN instances i ON i.id = l.holder AND l.expires_at > clock_timestamp()
WHERE l.name = $1;

-- name: identify_incarnation
-- Of which database of which server this connection is, and since when that server runs: a clone, a restored backup or
-- a standby that took over differs from what it was made of in at least one of the two.
SELECT d.oid::text AS database, extract(epoch FROM pg_postmaster_start_time())::text AS server_started_at
FROM pg_database d
WHERE d.datname = current_database();
