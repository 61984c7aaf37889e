//! Bugs planted from outside, to prove that the harness finds them: triggers in the database, and rows
//! deleted from a spool while its agent is down.

use crate::args::Bug;
use crate::stored::open;
use crate::world::{Store, World};

/// Plants a bug in the store.
pub fn plant(world: &World, bug: Bug) {
    let (table, every, twice) = match bug {
        Bug::AckBeforeCommit => ("hot_samples", 500, false),
        Bug::CursorUnguarded => ("hot_samples", 500, true),
        Bug::GapNotRecorded => ("gaps", 1, false),
        Bug::SpoolEntryRemoved => return,
    };
    match world.store() {
        Store::Sqlite => {
            let act = if twice {
                "INSERT INTO hot_samples SELECT client, nic, time, nth + 1000000, interval_ns, \
                 rx_bytes, tx_bytes, rx_packets, tx_packets, rx_captured, tx_captured, \
                 rx_peak_1ms_bytes, tx_peak_1ms_bytes, rx_peak_10ms_bytes, tx_peak_10ms_bytes, \
                 drops, flags FROM hot_samples WHERE client = new.client AND nic = new.nic \
                 AND time = new.time AND nth = new.nth"
            } else {
                "SELECT raise(IGNORE)"
            };
            let when = if twice { "AFTER" } else { "BEFORE" };
            let trigger = format!(
                "CREATE TRIGGER planted {when} INSERT ON {table} WHEN random() % {every} = 0 \
                 BEGIN {act}; END"
            );
            open(&world.sqlite()).execute_batch(&trigger).expect("a trigger can be made");
        }
        Store::Postgres => {
            let act = if twice {
                format!("INSERT INTO {table} SELECT new.*; RETURN new;")
            } else {
                "RETURN NULL;".to_owned()
            };
            world.psql(&format!(
                "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF pg_trigger_depth() = 1 AND random() < 1.0 / {every} THEN {act} END IF; \
                 RETURN new; END $$; \
                 CREATE TRIGGER planted BEFORE INSERT ON {table} \
                 FOR EACH ROW EXECUTE FUNCTION planted()"
            ));
        }
    }
}

/// Plants a bug while an agent is down.
pub fn while_down(world: &World, agent: usize, bug: Bug) {
    if bug == Bug::SpoolEntryRemoved {
        let spool = open(&world.agents[agent].spool());
        let removed = spool.execute(
            "DELETE FROM records WHERE (session, first_seq) IN (SELECT session, first_seq \
             FROM records JOIN sessions USING (session) WHERE first_seq > committed_seq LIMIT 3)",
            [],
        );
        match removed {
            Ok(removed) => println!("  {removed} records removed from the spool"),
            // Its disk is full at the moment.
            Err(error) => println!("  no record removed from the spool: {error}"),
        }
    }
}
