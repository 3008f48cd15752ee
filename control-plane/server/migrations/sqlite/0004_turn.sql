-- What may be relayed, and how long sessions were.

-- Of a camera or of a tenant; what is NULL is left to the tenant's or to the configuration.
CREATE TABLE relay_policy (
    account           TEXT NOT NULL CHECK (account IN ('camera', 'tenant')),
    id                TEXT NOT NULL,
    relay             TEXT CHECK (relay IN ('direct_only', 'relay_only', 'prefer_direct')),
    max_bps           INTEGER,
    minutes_per_day   INTEGER,
    minutes_per_month INTEGER,
    changed_ms        INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) STRICT;

-- What was relayed stays on record, its policy does not.
CREATE TRIGGER relay_policy_of_removed_camera AFTER DELETE ON camera BEGIN
    DELETE FROM relay_policy WHERE account = 'camera' AND id = OLD.id;
END;

CREATE TABLE relayed_day (
    account    TEXT NOT NULL CHECK (account IN ('camera', 'tenant')),
    id         TEXT NOT NULL,
    -- A date of UTC, such as 2026-11-23.
    day        TEXT NOT NULL,
    relayed_ms INTEGER NOT NULL,
    PRIMARY KEY (account, id, day)
) STRICT;

-- What relays took for each end; relayed_bytes is their sum.
ALTER TABLE video_session ADD COLUMN relayed_viewer_bytes INTEGER;
ALTER TABLE video_session ADD COLUMN relayed_device_bytes INTEGER;
