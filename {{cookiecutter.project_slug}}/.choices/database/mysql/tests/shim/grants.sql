-- For `make parity`, whose environments each have a database.
GRANT ALL ON `parity%`.* TO worker;
-- To see what the functions' user does.
GRANT PROCESS ON *.* TO worker;
