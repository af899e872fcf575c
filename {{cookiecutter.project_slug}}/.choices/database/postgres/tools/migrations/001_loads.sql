-- The ledger: which state of which object was loaded into which table.
CREATE TABLE IF NOT EXISTS loads (
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

CREATE INDEX IF NOT EXISTS loads_object_key ON loads (object_key, bucket);

-- The lines that were no rows, or that the database refused.
CREATE TABLE IF NOT EXISTS rejects (
    number BIGINT NOT NULL,
    line BIGINT NOT NULL,
    content VARCHAR(1000) NOT NULL,
    reason VARCHAR(1000) NOT NULL,
    PRIMARY KEY (number, line)
);
