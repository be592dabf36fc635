-- name: read_preferences
SELECT default_provider, default_model FROM users WHERE id = $1;

-- name: update_preferences
-- `$2` and `$4`: whether `$3` and `$5` are given. A model is one of its provider's: with another provider it goes, and
-- without one it cannot be. No row: it would stand alone, and nothing was changed. Harmless when done twice.
WITH wanted AS (
    SELECT id,
           CASE WHEN $2::boolean THEN $3::text ELSE default_provider END AS provider,
           CASE WHEN $4::boolean THEN $5::text
                WHEN $2 AND $3 IS DISTINCT FROM default_provider THEN NULL
                ELSE default_model END AS model
    FROM users
    WHERE id = $1
    FOR NO KEY UPDATE
)
UPDATE users u
SET default_provider = w.provider, default_model = w.model
FROM wanted w
WHERE u.id = w.id AND (w.provider IS NOT NULL OR w.model IS NULL)
RETURNING u.default_provider, u.default_model;

-- name: read_provider_choice
-- What a user's prompts go by: their defaults and their own keys, by the primary keys of both. One row a key, and one
-- with nulls for a user who has none.
SELECT u.default_provider, u.default_model, c.provider, c.key_id, c.sealed
FROM users u
LEFT JOIN credentials c ON c.user_id = u.id
WHERE u.id = $1;
