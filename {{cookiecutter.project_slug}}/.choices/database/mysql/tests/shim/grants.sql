-- For `make parity`, whose environments each have a database.
GRANT ALL ON `parity%`.* TO worker;
