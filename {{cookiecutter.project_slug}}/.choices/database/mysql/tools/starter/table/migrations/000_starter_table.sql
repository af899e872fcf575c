-- The rows that src/func/starter.py loads.
CREATE TABLE `starter_table` (
    click_id BIGINT NOT NULL,
    visitor VARCHAR(64) NOT NULL,
    page VARCHAR(2048) NOT NULL,
    referrer VARCHAR(2048),
    clicked_at DATETIME NOT NULL
) CHARACTER SET utf8mb4;
