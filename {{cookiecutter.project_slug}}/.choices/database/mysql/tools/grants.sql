-- What functions may do in the database, as the user `app`.
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES, EXECUTE ON main.* TO app;
