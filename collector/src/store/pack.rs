//! Packs the rows of many NICs, step by step.

use tokio::time::sleep;

use crate::time::boot;

/// Most rows packed in a call, so that its caller can tell how far it is.
const PASS: u64 = 10_000_000;

/// What was packed in a step, by one short transaction or a few.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct PackedSome<At> {
    /// Number of rows.
    pub rows: u64,
    /// Where the next step begins.
    pub end: At,
}

/// Packs the oldest rows of each NIC by `pack_some`, from where the last step ended, until it finds none.
/// Returns the number of all. What fails of one NIC holds up no other one.
pub(in crate::store) async fn pack_each<N, At, E, F>(
    nics: Vec<N>,
    pack_some: impl Fn(N, Option<At>) -> F,
) -> Result<u64, E>
where
    N: Copy,
    At: Copy,
    F: Future<Output = Result<Option<PackedSome<At>>, E>>,
{
    let (mut rows, mut failed) = (0, None);
    for nic in nics {
        let mut from = None;
        while rows < PASS {
            let begun = boot();
            match pack_some(nic, from).await {
                // None is left. What came late, before the end of the last ones, is packed by the next look.
                Ok(None) => break,
                Ok(Some(some)) => {
                    rows += some.rows;
                    from = Some(some.end);
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            // At most half of the time.
            sleep(boot().saturating_sub(begun)).await;
        }
    }
    failed.map_or(Ok(rows), Err)
}
