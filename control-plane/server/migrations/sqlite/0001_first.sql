-- Times are milliseconds since the Unix epoch.

CREATE TABLE person (
    id            TEXT PRIMARY KEY,
    tenant        TEXT NOT NULL,
    name          TEXT NOT NULL UNIQUE COLLATE NOCASE,
    role          TEXT NOT NULL CHECK (role IN ('viewer', 'admin')),
    password_hash TEXT NOT NULL,
    added_ms      INTEGER NOT NULL
) STRICT;

-- Being signed in: the cookie's token is kept as SHA-256 only.
CREATE TABLE sign_in (
    token_hash BLOB PRIMARY KEY,
    person     TEXT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    began_ms   INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX sign_in_expires ON sign_in (expires_ms);
CREATE INDEX sign_in_person ON sign_in (person);

CREATE TABLE camera (
    id          TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL,
    name        TEXT NOT NULL COLLATE NOCASE,
    certificate TEXT NOT NULL,
    added_ms    INTEGER NOT NULL,
    UNIQUE (tenant, name)
) STRICT;

-- No foreign keys: who watched what stays on record when the camera or the person is gone.
CREATE TABLE video_session (
    id              TEXT PRIMARY KEY,
    tenant          TEXT NOT NULL,
    camera          TEXT NOT NULL,
    person          TEXT NOT NULL,
    browser         TEXT NOT NULL,
    opened_ms       INTEGER NOT NULL,
    ended_ms        INTEGER,
    path            TEXT,
    signal_ms       REAL,
    ice_ms          REAL,
    dtls_ms         REAL,
    first_packet_ms REAL,
    first_frame_ms  REAL,
    bytes           INTEGER NOT NULL DEFAULT 0,
    end_reason      TEXT
) STRICT;

CREATE INDEX video_session_opened ON video_session (tenant, opened_ms);
CREATE INDEX video_session_camera ON video_session (camera, opened_ms);
CREATE INDEX video_session_live ON video_session (id) WHERE ended_ms IS NULL;
