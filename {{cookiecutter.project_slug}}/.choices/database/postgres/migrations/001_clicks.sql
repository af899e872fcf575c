-- The example's table. `make undo` and `on_new_version: replace` find rows by the load's number.
-- An index on it would take a third of each load's time: see docs/loading-files.md.
CREATE TABLE IF NOT EXISTS clicks (
    click_id BIGINT NOT NULL,
    visitor VARCHAR(64) NOT NULL,
    page VARCHAR(2048) NOT NULL,
    referrer VARCHAR(2048),
    clicked_at TIMESTAMP NOT NULL,
    load_number BIGINT
);
