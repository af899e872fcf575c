-- The user of functions, with the password of the shim.
CREATE ROLE app LOGIN PASSWORD 'shim';
