-- How sessions find their way: by which kind of path, how often anew, and what of it a TURN server carried.

-- host, reflexive or relay; that of older sessions is known where it was a relay.
ALTER TABLE video_session ADD COLUMN kind TEXT CHECK (kind IN ('host', 'reflexive', 'relay'));
UPDATE video_session SET kind = 'relay' WHERE path = 'relayed';
-- The TURN server on the way: its URL, without a credential.
ALTER TABLE video_session ADD COLUMN relay TEXT;
ALTER TABLE video_session ADD COLUMN restarts INTEGER NOT NULL DEFAULT 0;
-- As the TURN server counts; absent where it does not say.
ALTER TABLE video_session ADD COLUMN relayed_bytes INTEGER;
-- What both ends say of path, phases and tried pairs: JSON.
ALTER TABLE video_session ADD COLUMN ends TEXT;
-- Why it ended, as the protocol names it; end_reason has the words.
ALTER TABLE video_session ADD COLUMN end_code TEXT;

-- With the names that belong to its ids, as far as they are still known.
CREATE VIEW named_video_session AS
SELECT video_session.*, camera.name AS camera_name, person.name AS person_name
FROM video_session
LEFT JOIN camera ON camera.id = video_session.camera
LEFT JOIN person ON person.id = video_session.person;

-- Those that ended though nobody closed them. A stop of the control plane has no code.
CREATE VIEW failed_video_session AS
SELECT * FROM video_session WHERE end_code IS NOT NULL AND end_code <> 'viewer_closed';
