-- The owner of the tables. `make parity` creates databases for its environments.
GRANT ALL ON *.* TO worker;
