-- NICs that have no rows left are deleted. Whether one has any is asked of each of these.
CREATE INDEX session_nics_nic ON session_nics (nic);
CREATE INDEX link_changes_nic ON link_changes (nic);
CREATE INDEX gaps_nic ON gaps (nic) WHERE nic IS NOT NULL;
