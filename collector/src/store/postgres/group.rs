//! What a group commit puts together: small writes of different clients.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use tokio_postgres::Client;

use super::error::Failure;

/// Most writes of a group. A hundred spread the cost of statements and commit thinly enough; if the group
/// fails, so many are done alone.
pub(super) const WRITES_MAX: usize = 128;

/// Most rows of a group, as many as one agent may introduce sessions: no group takes longer than one agent.
const ROWS_MAX: usize = 4096;

/// Begins the transaction of a group, after [`BEGIN`](super::connect::BEGIN). Whoever a group waits for
/// would hold up all of it. Shorter than the server's wait before it looks for deadlocks (1 s), so that a
/// group gives way before the server ends the transaction of others.
pub(super) const IMPATIENT: &str = "; SET LOCAL lock_timeout = '250ms'";

/// A small write of a client.
pub(super) trait GroupWrite: Send + Sync + 'static {
    /// What it writes to. Two writes to the same are not in one group.
    type Key: Eq + Hash;
    /// Its answer.
    type Done: Send;

    /// What it writes to.
    fn key(&self) -> &Self::Key;

    /// About how many rows it touches.
    fn rows(&self) -> usize {
        1
    }

    /// Does it alone. It may wait for locks, and its failure is its own.
    fn alone(&self, db: &Client) -> impl Future<Output = Result<Self::Done, Failure>> + Send;

    /// Does several in one transaction, with as many statements as for one. `None` for each that is not
    /// done and must be done alone: because it would wait for a lock, or because of what it is.
    fn together(
        db: &Client,
        writes: &[Arc<Self>],
    ) -> impl Future<Output = Result<Vec<Option<Self::Done>>, Failure>> + Send;
}

/// Which of the writes go together, in their order, and which are done alone: a second to the same key, and
/// those for which there is no room.
pub(super) fn split<T, W: GroupWrite>(
    writes: Vec<T>,
    of: impl Fn(&T) -> &Arc<W>,
) -> (Vec<T>, Vec<T>) {
    let (mut keys, mut rows) = (HashSet::new(), 0);
    let fits: Vec<bool> = writes
        .iter()
        .map(|write| {
            let write = of(write);
            let fits = rows + write.rows() <= ROWS_MAX && keys.insert(write.key());
            rows += if fits { write.rows() } else { 0 };
            fits
        })
        .collect();
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for (write, fits) in writes.into_iter().zip(fits) {
        if fits { together.push(write) } else { alone.push(write) }
    }
    (together, alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rows(&'static str, usize);

    impl GroupWrite for Rows {
        type Key = &'static str;
        type Done = ();

        fn key(&self) -> &Self::Key {
            &self.0
        }

        fn rows(&self) -> usize {
            self.1
        }

        async fn alone(&self, _: &Client) -> Result<(), Failure> {
            Ok(())
        }

        async fn together(_: &Client, _: &[Arc<Self>]) -> Result<Vec<Option<()>>, Failure> {
            Ok(vec![])
        }
    }

    #[test]
    fn a_group_has_one_write_to_a_key_and_a_bounded_number_of_rows() {
        let writes = [("a", 1), ("b", ROWS_MAX - 2), ("a", 1), ("c", 2), ("d", 1), ("e", 1)];
        let writes = writes.map(|(key, rows)| Arc::new(Rows(key, rows))).into();
        let (together, alone) = split(writes, |write| write);
        let names = |writes: Vec<Arc<Rows>>| writes.iter().map(|it| it.0).collect::<String>();
        assert_eq!((names(together).as_str(), names(alone).as_str()), ("abd", "ace"));
    }
}
