-- What the first four migrations of SQLite come to; from here on both have the same numbers. Times are milliseconds since
-- the Unix epoch, truth values are 0 and 1.

-- Names: upper and lower case are the same.
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);

CREATE TABLE person (
    id            TEXT PRIMARY KEY,
    tenant        TEXT NOT NULL,
    name          TEXT COLLATE nocase NOT NULL UNIQUE,
    role          TEXT NOT NULL CHECK (role IN ('viewer', 'admin')),
    password_hash TEXT NOT NULL,
    added_ms      BIGINT NOT NULL
);

-- Being signed in: the cookie's token is kept as SHA-256 only.
CREATE TABLE sign_in (
    token_hash BYTEA PRIMARY KEY,
    person     TEXT NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    began_ms   BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);

CREATE INDEX sign_in_expires ON sign_in (expires_ms);
CREATE INDEX sign_in_person ON sign_in (person);

CREATE TABLE camera (
    id                TEXT PRIMARY KEY,
    tenant            TEXT NOT NULL,
    name              TEXT COLLATE nocase NOT NULL,
    added_ms          BIGINT NOT NULL,
    site              TEXT,
    -- A JSON array of texts.
    tags              TEXT NOT NULL DEFAULT '[]',
    -- Whether the camera itself may take part, whichever of its certificates it shows.
    standing          TEXT NOT NULL DEFAULT 'trusted' CHECK (standing IN ('trusted', 'quarantined', 'revoked')),
    standing_reason   TEXT,
    standing_since_ms BIGINT,
    UNIQUE (tenant, name)
);

-- No foreign keys: who watched what stays on record when the camera or the person is gone.
CREATE TABLE video_session (
    id                   TEXT PRIMARY KEY,
    tenant               TEXT NOT NULL,
    camera               TEXT NOT NULL,
    person               TEXT NOT NULL,
    browser              TEXT NOT NULL,
    opened_ms            BIGINT NOT NULL,
    ended_ms             BIGINT,
    path                 TEXT,
    signal_ms            DOUBLE PRECISION,
    ice_ms               DOUBLE PRECISION,
    dtls_ms              DOUBLE PRECISION,
    first_packet_ms      DOUBLE PRECISION,
    first_frame_ms       DOUBLE PRECISION,
    bytes                BIGINT NOT NULL DEFAULT 0,
    end_reason           TEXT,
    kind                 TEXT CHECK (kind IN ('host', 'reflexive', 'relay')),
    -- The TURN server on the way: its URL, without a credential.
    relay                TEXT,
    restarts             BIGINT NOT NULL DEFAULT 0,
    -- As the TURN server counts; absent where it does not say. What it took for each end, and their sum.
    relayed_bytes        BIGINT,
    relayed_viewer_bytes BIGINT,
    relayed_device_bytes BIGINT,
    -- What both ends say of path, phases and tried pairs: JSON.
    ends                 TEXT,
    -- Why it ended, as the protocol names it; end_reason has the words.
    end_code             TEXT
);

CREATE INDEX video_session_opened ON video_session (tenant, opened_ms);
CREATE INDEX video_session_camera ON video_session (camera, opened_ms);
CREATE INDEX video_session_live ON video_session (id) WHERE ended_ms IS NULL;

-- With the names that belong to its ids, as far as they are still known.
CREATE VIEW named_video_session AS
SELECT video_session.*, camera.name AS camera_name, person.name AS person_name
FROM video_session
LEFT JOIN camera ON camera.id = video_session.camera
LEFT JOIN person ON person.id = video_session.person;

-- Those that ended though nobody closed them. A stop of the control plane has no code.
CREATE VIEW failed_video_session AS
SELECT * FROM video_session WHERE end_code IS NOT NULL AND end_code <> 'viewer_closed';

-- No foreign key: the certificates of a removed camera stay here, revoked, until they have expired for long.
CREATE TABLE certificate (
    -- The order in which they came, which SQLite has by itself under this name.
    rowid         BIGINT GENERATED ALWAYS AS IDENTITY,
    -- Lower-case hexadecimal without leading zeros.
    serial        TEXT PRIMARY KEY,
    camera        TEXT NOT NULL,
    pem           TEXT NOT NULL,
    -- SHA-256 of the certificate (DER), hexadecimal.
    fingerprint   TEXT NOT NULL,
    -- SHA-256 of its SubjectPublicKeyInfo (DER), hexadecimal.
    key_sha256    TEXT NOT NULL,
    issued_ms     BIGINT NOT NULL,
    not_after_ms  BIGINT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('pending', 'active', 'superseded', 'revoked')),
    first_used_ms BIGINT,
    -- When it was superseded or revoked, and why.
    ended_ms      BIGINT,
    reason        TEXT
);

CREATE INDEX certificate_camera ON certificate (camera, issued_ms);
CREATE INDEX certificate_ends ON certificate (not_after_ms);

-- Certificates as an older version had them, which only SQLite's databases can hold; restored ones may bring some.
CREATE TABLE unread_certificate (
    camera    TEXT PRIMARY KEY,
    pem       TEXT NOT NULL,
    issued_ms BIGINT NOT NULL
);

-- What happened to identities, in order. It is the record, and by its number every process learns of what another did.
CREATE TABLE identity_event (
    id     BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at_ms  BIGINT NOT NULL,
    camera TEXT NOT NULL,
    what   TEXT NOT NULL,
    serial TEXT,
    reason TEXT
);

CREATE TABLE claim (
    id          TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL,
    -- SHA-256 of the secret.
    secret_hash BYTEA NOT NULL UNIQUE,
    name        TEXT,
    site        TEXT,
    tags        TEXT NOT NULL,
    max_uses    BIGINT NOT NULL,
    uses        BIGINT NOT NULL DEFAULT 0,
    made_ms     BIGINT NOT NULL,
    expires_ms  BIGINT NOT NULL
);

-- Whose answer got lost asks again with the same key, and is not counted twice.
CREATE TABLE claim_use (
    claim      TEXT NOT NULL REFERENCES claim (id) ON DELETE CASCADE,
    key_sha256 TEXT NOT NULL,
    camera     TEXT NOT NULL,
    at_ms      BIGINT NOT NULL,
    PRIMARY KEY (claim, key_sha256)
);

CREATE TABLE pairing (
    code       TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    key_sha256 TEXT NOT NULL,
    serial     TEXT,
    model      TEXT,
    address    TEXT NOT NULL,
    asked_ms   BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('waiting', 'confirmed', 'refused')),
    -- The camera that was added when somebody confirmed the code.
    camera     TEXT
);

CREATE INDEX pairing_expires ON pairing (expires_ms);

CREATE TABLE factory_entry (
    tenant     TEXT NOT NULL,
    serial     TEXT NOT NULL,
    key_sha256 TEXT NOT NULL,
    name       TEXT,
    listed_ms  BIGINT NOT NULL,
    -- The camera that enrolled with it.
    camera     TEXT,
    PRIMARY KEY (tenant, serial)
);

-- When cameras came and went.
CREATE TABLE connection (
    id       BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    camera   TEXT NOT NULL,
    at_ms    BIGINT NOT NULL,
    online   BIGINT NOT NULL CHECK (online IN (0, 1)),
    reason   TEXT,
    boot_id  TEXT NOT NULL,
    firmware TEXT NOT NULL,
    -- Of the presence message: what is retained comes again after a restart.
    seq      BIGINT NOT NULL
);

CREATE INDEX connection_camera ON connection (camera, id);

-- What may be relayed. Of a camera or of a tenant; what is NULL is left to the tenant's or to the configuration.
CREATE TABLE relay_policy (
    account           TEXT NOT NULL CHECK (account IN ('camera', 'tenant')),
    id                TEXT NOT NULL,
    relay             TEXT CHECK (relay IN ('direct_only', 'relay_only', 'prefer_direct')),
    max_bps           BIGINT,
    minutes_per_day   BIGINT,
    minutes_per_month BIGINT,
    changed_ms        BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);

-- What was relayed stays on record, its policy does not.
CREATE FUNCTION forget_relay_policy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM relay_policy WHERE account = 'camera' AND id = OLD.id;
    RETURN OLD;
END
$$;
CREATE TRIGGER relay_policy_of_removed_camera AFTER DELETE ON camera
    FOR EACH ROW EXECUTE FUNCTION forget_relay_policy();

CREATE TABLE relayed_day (
    account    TEXT NOT NULL CHECK (account IN ('camera', 'tenant')),
    id         TEXT NOT NULL,
    -- A date of UTC, such as 2026-11-23.
    day        TEXT NOT NULL,
    relayed_ms BIGINT NOT NULL,
    PRIMARY KEY (account, id, day)
);
