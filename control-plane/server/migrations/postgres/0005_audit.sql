-- What people changed, in order and for good: each row's hash covers the one before, so that none can be changed, left out
-- or put in without a trace. Nothing ever updates or deletes here.

CREATE TABLE audit (
    -- Without a gap, from 1.
    id         BIGINT PRIMARY KEY,
    at_ms      BIGINT NOT NULL,
    tenant     TEXT NOT NULL,
    -- The person's id; of whoever works on the control plane's own machine the system's user.
    actor      TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    -- Where it came from.
    address    TEXT NOT NULL,
    action     TEXT NOT NULL,
    -- What it was done to, if there is a name for that.
    subject    TEXT,
    -- JSON, without secrets.
    before     TEXT,
    after      TEXT,
    -- SHA-256 of the hash before and of this row, hexadecimal.
    hash       TEXT NOT NULL
);

CREATE INDEX audit_tenant ON audit (tenant, id);
CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is not changed';
END
$$;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION keep_audit();
