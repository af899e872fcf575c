-- The example's table.
CREATE TABLE clicks (
    click_id BIGINT NOT NULL,
    visitor VARCHAR(64) NOT NULL,
    page VARCHAR(2048) NOT NULL,
    referrer VARCHAR(2048),
    clicked_at TIMESTAMP NOT NULL
);

-- Which state of which object was loaded into which table.
CREATE TABLE loads (
    object_id CHAR(64) NOT NULL,
    target VARCHAR(128) NOT NULL,
    bucket VARCHAR(63) NOT NULL,
    object_key VARCHAR(1024) NOT NULL,
    version VARCHAR(1024) NOT NULL,
    loaded BIGINT NOT NULL DEFAULT 0,
    rejected BIGINT NOT NULL DEFAULT 0,
    loaded_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (object_id, target)
);

-- The lines that were no rows.
CREATE TABLE rejects (
    object_id CHAR(64) NOT NULL,
    target VARCHAR(128) NOT NULL,
    line BIGINT NOT NULL,
    content VARCHAR(1000) NOT NULL,
    reason VARCHAR(255) NOT NULL,
    PRIMARY KEY (object_id, target, line)
);
