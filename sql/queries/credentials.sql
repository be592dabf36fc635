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
