//! Packs the samples of many NICs, one short transaction after the other.

use tokio::time::sleep;

use crate::time::boot;

/// Most samples packed in a call, so that its caller can tell how far it is.
const PASS: u64 = 10_000_000;

/// Packs the oldest samples of each NIC by `pack_some`, until it finds none. Returns the number of all. What fails
/// of one NIC holds up no other one.
pub(in crate::store) async fn pack_each<N, E, F>(
    nics: Vec<N>,
    pack_some: impl Fn(N) -> F,
) -> Result<u64, E>
where
    N: Copy,
    F: Future<Output = Result<Option<u64>, E>>,
{
    let (mut samples, mut failed) = (0, None);
    for nic in nics {
        while samples < PASS {
            let begun = boot();
            match pack_some(nic).await {
                // None is left, or late ones came meanwhile: the next look packs them.
                Ok(None) => break,
                Ok(Some(some)) => samples += some,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
            // At most half of the time.
            sleep(boot().saturating_sub(begun)).await;
        }
    }
    failed.map_or(Ok(samples), Err)
}
