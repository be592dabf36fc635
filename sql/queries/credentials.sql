-- name: store_credential
INSERT INTO credentials AS c (user_id, provider, key_id, sealed)
VALUES ($1, $2, $3, $4)
ON CONFLICT (user_id, provider) DO UPDATE
SET key_id = excluded.key_id, sealed = excluded.sealed, updated_at = now();

-- name: read_credential
SELECT key_id, sealed FROM credentials WHERE user_id = $1 AND provider = $2;

-- name: list_credentials
SELECT provider, updated_at FROM credentials WHERE user_id = $1;

-- name: delete_credential
DELETE FROM credentials WHERE user_id = $1 AND provider = $2;

-- name: find_credentials_to_reseal
-- What is sealed by one of the older keys `$1`, along the primary key behind (`$2`, `$3`), so that a row that cannot be
-- opened holds none of the others up.
SELECT user_id, provider, key_id, sealed
FROM credentials
WHERE key_id = ANY ($1::bytea[]) AND (user_id, provider) > ($2::uuid, $3::text)
ORDER BY user_id, provider
LIMIT $4;

-- name: reseal_credentials
-- Each only if it still is what was read: a key that its user has replaced or removed meanwhile stays so. `sealed` holds
-- a random nonce, so it is never the same twice. `updated_at` stays: the user's key did not change.
UPDATE credentials c
SET key_id = $1, sealed = n.resealed
FROM unnest($2::uuid[], $3::text[], $4::bytea[], $5::bytea[]) AS n (user_id, provider, sealed, resealed)
WHERE c.user_id = n.user_id AND c.provider = n.provider AND c.sealed = n.sealed
RETURNING c.provider;

-- name: count_credentials_by_key
SELECT key_id, count(*) AS credentials FROM credentials GROUP BY key_id;
