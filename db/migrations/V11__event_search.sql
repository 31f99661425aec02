-- What events are found by: folded terms of name and venue, as bytes, so that every database compares them alike.
-- `searched_version` is the event's version whose terms these are; where it lags, a job makes them anew.
CREATE TABLE event_terms (
    term VARBINARY(128) NOT NULL,
    event_id BIGINT NOT NULL,
    PRIMARY KEY (term, event_id),
    KEY ix_event_terms_event (event_id, term)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

ALTER TABLE events
    ADD COLUMN searched_version BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN search_stale TINYINT(1) AS (searched_version <> version) STORED,
    ADD KEY ix_events_search_stale (search_stale, id),
    -- Events that run at a moment: few of those that began before it end after it.
    ADD KEY ix_events_running (status, end_time, start_time, id);
