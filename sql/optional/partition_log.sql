-- Divides `events` and `runs` by the hash of their session into partitions. Optional: no query and no code differs.
-- docs/scaling.md says what it gives, what it costs, and how long it takes.
--
--   psql --set ON_ERROR_STOP=1 --file sql/optional/partition_log.sql postgresql://user@host/webedt
--   PGOPTIONS='-c webedt.partitions=64' psql …        another number than 16; it cannot be changed later
--
-- One statement, so all or nothing, under the lock of `webedt migrate`. Nobody reads or writes the two tables meanwhile:
-- appends wait, with their runs, and readers wait or come back. It needs room for both tables a second time.
-- What the tables have (indexes, constraints, defaults, options, owner, grants) is read from the catalog, so that the
-- file holds for every version of the schema.
DO $$
DECLARE
    partitions  integer := coalesce(nullif(current_setting('webedt.partitions', true), ''), '16');
    whole       record;
    granted     record;
    definition  text;
    definitions text[];
BEGIN
    PERFORM pg_advisory_xact_lock(131277326214260);
    PERFORM set_config('lock_timeout', '10s', true);
    LOCK TABLE events, runs IN ACCESS EXCLUSIVE MODE;
    FOR whole IN
        SELECT oid, relname, relkind, relowner::regrole AS owner, relowner, relacl,
               coalesce('WITH (' || array_to_string(reloptions, ', ') || ')', '') AS options
        FROM pg_class
        WHERE oid IN ('events'::regclass, 'runs'::regclass)
    LOOP
        IF whole.relkind <> 'r' THEN
            RAISE EXCEPTION 'the table % is divided already', whole.relname;
        END IF;
        definitions := ARRAY(
            SELECT CASE WHEN c.oid IS NULL THEN pg_get_indexdef(i.indexrelid)
                        ELSE format('ALTER TABLE %I ADD CONSTRAINT %I %s', whole.relname, c.conname,
                                    pg_get_constraintdef(c.oid))
                   END
            FROM pg_index i
            LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype IN ('p', 'u')
            WHERE i.indrelid = whole.oid
            ORDER BY i.indexrelid
        );
        EXECUTE format('ALTER TABLE %I RENAME TO whole', whole.relname);
        EXECUTE format('CREATE TABLE %I (LIKE whole INCLUDING ALL EXCLUDING INDEXES) PARTITION BY HASH (chat_session_id)',
                       whole.relname);
        EXECUTE format('ALTER TABLE %I OWNER TO %s', whole.relname, whole.owner);
        FOR number IN 0 .. partitions - 1 LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS %s, REMAINDER %s) %s',
                           format('%s_%s', whole.relname, number), whole.relname, partitions, number, whole.options);
            EXECUTE format('ALTER TABLE %I OWNER TO %s', format('%s_%s', whole.relname, number), whole.owner);
        END LOOP;
        FOR granted IN
            SELECT privilege_type AS privilege,
                   CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS grantee
            FROM aclexplode(whole.relacl)
            WHERE grantee <> whole.relowner
        LOOP
            EXECUTE format('GRANT %s ON %I TO %s', granted.privilege, whole.relname, granted.grantee);
        END LOOP;
        EXECUTE format('INSERT INTO %I SELECT * FROM whole', whole.relname);
        DROP TABLE whole; -- and its indexes, whose names are free now
        FOREACH definition IN ARRAY definitions LOOP
            EXECUTE definition;
        END LOOP;
        EXECUTE format('ANALYZE %I', whole.relname);
    END LOOP;
END
$$;
