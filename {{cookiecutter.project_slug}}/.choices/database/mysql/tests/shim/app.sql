-- The user of functions, with the password of the shim. `make parity` gives each environment a
-- database.
CREATE USER app IDENTIFIED BY 'shim';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES, EXECUTE ON `parity%`.* TO app;
