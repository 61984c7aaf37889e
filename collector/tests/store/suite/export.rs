//! Exports.

use collector::store::{Commit, ExportRange};
use tokio::sync::mpsc;
use wire::WallNs;
use wire::frame::Sample;

use super::place::{Place, opened};
use crate::batches::{DAY, SECOND, START, batch, sample};

pub async fn a_reader_of_an_export_that_stalls_gets_every_row_once(place: &impl Place) {
    let (store, mut agent) = opened(place).await;
    let samples: Vec<Sample> = (0..3000).map(|n| sample("eth0", START + n * SECOND, n)).collect();
    let frames = samples.chunks(500).map(|chunk| agent.frame(chunk.to_vec())).collect();
    store.commit(&batch([agent.batch(frames)])).await.unwrap();
    let (sender, mut receiver) = mpsc::channel(1);
    let exporting = {
        let store = store.clone();
        let range = ExportRange {
            client: "web".to_owned(),
            nics: vec!["eth0".to_owned()],
            from_ns: WallNs(0),
            to_ns: WallNs(START + 10 * DAY),
        };
        tokio::spawn(async move { store.export(&range, sender).await })
    };
    let mut starts: Vec<WallNs> = Vec::new();
    while let Some(rows) = receiver.recv().await {
        starts.extend(rows.iter().map(|row| row.point.start_ns));
        // After the first chunk.
        if starts.len() == 512 {
            place.wait_until_nothing_is_read().await;
            // A later snapshot would include it.
            store.commit(&agent.next(vec![sample("eth0", START + DAY, 1)])).await.unwrap();
        }
    }
    exporting.await.unwrap().unwrap();
    let expected: Vec<WallNs> = samples.iter().map(|sample| sample.start_ns).collect();
    assert_eq!(starts[..3000], expected);
    assert_eq!(starts[3000..], [WallNs(START + DAY)]);
}
