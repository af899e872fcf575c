-- The example's table. `on_new_version: replace` deletes earlier rows by the load's number:
-- only there is an index on it worth a third of each load's time.
CREATE TABLE clicks (
    click_id BIGINT NOT NULL,
    visitor VARCHAR(64) NOT NULL,
    page VARCHAR(2048) NOT NULL,
    referrer VARCHAR(2048),
    clicked_at TIMESTAMP NOT NULL,
    load_number BIGINT
);

-- The ledger: which state of which object was loaded into which table.
CREATE TABLE loads (
    number BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    object_id CHAR(64) NOT NULL,
    target VARCHAR(129) NOT NULL,
    bucket VARCHAR(63) NOT NULL,
    object_key VARCHAR(1024) NOT NULL,
    version VARCHAR(1024) NOT NULL,
    function VARCHAR(64) NOT NULL,
    bytes BIGINT,
    modified_at TIMESTAMPTZ,
    loaded BIGINT,
    rejected BIGINT,
    loaded_at TIMESTAMPTZ,
    PRIMARY KEY (object_id, target)
);

-- The lines that were no rows, or that the database refused.
CREATE TABLE rejects (
    number BIGINT NOT NULL,
    line BIGINT NOT NULL,
    content VARCHAR(1000) NOT NULL,
    reason VARCHAR(1000) NOT NULL,
    PRIMARY KEY (number, line)
);

CREATE INDEX loads_object_key ON loads (object_key, bucket);

-- Tables of your own come below.
