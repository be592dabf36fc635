"""PostgreSQL: the pool, connections of one's own, transactions, migrations, the SQL files. Knows no table by name
(but `schema_migrations`): what is asked stands in `sql/queries`, who asks it in the packages above.
"""
