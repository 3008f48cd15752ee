-- Device identity: certificates, the ways to enrol, and what happened. Times are milliseconds since the Unix epoch.

ALTER TABLE camera ADD COLUMN site TEXT;
-- A JSON array of texts.
ALTER TABLE camera ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
-- Whether the camera itself may take part, whichever of its certificates it shows.
ALTER TABLE camera ADD COLUMN standing TEXT NOT NULL DEFAULT 'trusted'
    CHECK (standing IN ('trusted', 'quarantined', 'revoked'));
ALTER TABLE camera ADD COLUMN standing_reason TEXT;
ALTER TABLE camera ADD COLUMN standing_since_ms INTEGER;

-- No foreign key: the certificates of a removed camera stay here, revoked, until they have expired for long.
CREATE TABLE certificate (
    -- Lower-case hexadecimal without leading zeros.
    serial        TEXT PRIMARY KEY,
    camera        TEXT NOT NULL,
    pem           TEXT NOT NULL,
    -- SHA-256 of the certificate (DER), hexadecimal.
    fingerprint   TEXT NOT NULL,
    -- SHA-256 of its SubjectPublicKeyInfo (DER), hexadecimal.
    key_sha256    TEXT NOT NULL,
    issued_ms     INTEGER NOT NULL,
    not_after_ms  INTEGER NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('pending', 'active', 'superseded', 'revoked')),
    first_used_ms INTEGER,
    -- When it was superseded or revoked, and why.
    ended_ms      INTEGER,
    reason        TEXT
) STRICT;

CREATE INDEX certificate_camera ON certificate (camera, issued_ms);
CREATE INDEX certificate_ends ON certificate (not_after_ms);

-- Certificates of before this table. SQL cannot read X.509: the next start does, and empties this.
CREATE TABLE unread_certificate (
    camera TEXT PRIMARY KEY,
    pem    TEXT NOT NULL,
    issued_ms INTEGER NOT NULL
) STRICT;
INSERT INTO unread_certificate SELECT id, certificate, added_ms FROM camera;
ALTER TABLE camera DROP COLUMN certificate;

-- What happened to identities, in order. It is the record, and by its number every process learns of what another did.
CREATE TABLE identity_event (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms  INTEGER NOT NULL,
    camera TEXT NOT NULL,
    what   TEXT NOT NULL,
    serial TEXT,
    reason TEXT
) STRICT;

CREATE TABLE claim (
    id          TEXT PRIMARY KEY,
    tenant      TEXT NOT NULL,
    -- SHA-256 of the secret.
    secret_hash BLOB NOT NULL UNIQUE,
    name        TEXT,
    site        TEXT,
    tags        TEXT NOT NULL,
    max_uses    INTEGER NOT NULL,
    uses        INTEGER NOT NULL DEFAULT 0,
    made_ms     INTEGER NOT NULL,
    expires_ms  INTEGER NOT NULL
) STRICT;

-- Whose answer got lost asks again with the same key, and is not counted twice.
CREATE TABLE claim_use (
    claim      TEXT NOT NULL REFERENCES claim (id) ON DELETE CASCADE,
    key_sha256 TEXT NOT NULL,
    camera     TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    PRIMARY KEY (claim, key_sha256)
) STRICT;

CREATE TABLE pairing (
    code       TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    key_sha256 TEXT NOT NULL,
    serial     TEXT,
    model      TEXT,
    address    TEXT NOT NULL,
    asked_ms   INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('waiting', 'confirmed', 'refused')),
    -- The camera that was added when somebody confirmed the code.
    camera     TEXT
) STRICT;

CREATE INDEX pairing_expires ON pairing (expires_ms);

CREATE TABLE factory_entry (
    tenant     TEXT NOT NULL,
    serial     TEXT NOT NULL,
    key_sha256 TEXT NOT NULL,
    name       TEXT,
    listed_ms  INTEGER NOT NULL,
    -- The camera that enrolled with it.
    camera     TEXT,
    PRIMARY KEY (tenant, serial)
) STRICT;

-- When cameras came and went.
CREATE TABLE connection (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    camera   TEXT NOT NULL,
    at_ms    INTEGER NOT NULL,
    online   INTEGER NOT NULL,
    reason   TEXT,
    boot_id  TEXT NOT NULL,
    firmware TEXT NOT NULL,
    -- Of the presence message: what is retained comes again after a restart.
    seq      INTEGER NOT NULL
) STRICT;

CREATE INDEX connection_camera ON connection (camera, id);
