INSERT INTO clicks (click_id, visitor, page, clicked_at) VALUES
    (1, 'anna', '/', '2025-11-05 08:00:00'),
    (2, 'ben', '/', '2025-12-06 00:59:59'),
    (3, 'zoe', '/', '2025-12-06 01:00:00');
