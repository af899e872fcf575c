-- The example's table. `on_new_version: replace` deletes earlier rows by the load's number:
-- only there is an index on it worth a third of each load's time.
CREATE TABLE IF NOT EXISTS clicks (
    click_id BIGINT NOT NULL,
    visitor VARCHAR(64) NOT NULL,
    page VARCHAR(2048) NOT NULL,
    referrer VARCHAR(2048),
    clicked_at TIMESTAMP NOT NULL,
    load_number BIGINT
);
