-- name: insert_user
INSERT INTO users (id, email, display_name, password_hash)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING id, email, display_name, created_at;

-- name: find_user_by_email
SELECT id, email, display_name, created_at, password_hash FROM users WHERE email = $1;

-- name: update_password_hash
UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = $3;

-- name: insert_login
INSERT INTO sessions (id, token_hash, secret_id, user_id, user_agent, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
ON CONFLICT (id) DO UPDATE SET id = excluded.id
RETURNING id, created_at, expires_at, user_agent;

-- name: authenticate
-- The one query of each request: who is it, prolong the login when half of its time is gone, and store it under the
-- newest secret, `$2`, if it is stored under another. The row is found by the token's HMACs under all secrets, the
-- newest one's first, through a unique index, so that nothing secret is compared byte by byte. There is one at most: the
-- limit says so to the planner.
WITH renewed AS (
    UPDATE sessions
    SET token_hash = ($1::bytea[])[1],
        secret_id = $2,
        expires_at = CASE WHEN expires_at < now() + make_interval(secs => $3 / 2)
                          THEN now() + make_interval(secs => $3) ELSE expires_at END
    WHERE token_hash = ANY ($1::bytea[])
      AND expires_at > now()
      AND (expires_at < now() + make_interval(secs => $3 / 2) OR secret_id IS DISTINCT FROM $2)
    RETURNING id, expires_at
)
SELECT u.id AS user_id, u.email, u.display_name, u.created_at AS user_created_at,
       s.id, s.created_at, s.user_agent,
       coalesce(x.expires_at, s.expires_at) AS expires_at,
       coalesce(x.expires_at > s.expires_at, false) AS extended
FROM (SELECT * FROM sessions WHERE token_hash = ANY ($1::bytea[]) AND expires_at > now() LIMIT 1) s
JOIN users u ON u.id = s.user_id
LEFT JOIN renewed x ON x.id = s.id;

-- name: count_logins_by_secret
SELECT secret_id, count(*) AS logins FROM sessions WHERE expires_at > now() GROUP BY secret_id;

-- name: list_logins
SELECT id, created_at, expires_at, user_agent
FROM sessions
WHERE user_id = $1 AND expires_at > now()
ORDER BY created_at DESC, id;

-- name: delete_login
DELETE FROM sessions WHERE id = $1 AND user_id = $2 RETURNING id;

-- name: delete_logins
DELETE FROM sessions WHERE user_id = $1 RETURNING id;

-- name: purge_logins
DELETE FROM sessions WHERE expires_at < now() - interval '1 day';

-- name: count_attempt
-- A window of `$2` seconds begins with a bucket's first attempt. Answers the attempts in it, this one included, and how
-- long it still lasts.
INSERT INTO rate_limits AS l (bucket, window_started_at, attempts)
VALUES ($1, clock_timestamp(), 1)
ON CONFLICT (bucket) DO UPDATE
SET attempts = CASE WHEN l.window_started_at < clock_timestamp() - make_interval(secs => $2)
                    THEN 1 ELSE l.attempts + 1 END,
    window_started_at = CASE WHEN l.window_started_at < clock_timestamp() - make_interval(secs => $2)
                             THEN clock_timestamp() ELSE l.window_started_at END
RETURNING attempts, extract(epoch FROM window_started_at - clock_timestamp()) + $2 AS remaining_seconds;

-- name: purge_rate_limits
DELETE FROM rate_limits WHERE window_started_at < now() - interval '1 hour';
