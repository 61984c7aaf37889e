//! Compares the values that the page reads out with the database.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::driver::Browser;

/// Reads out the points of `client-1`'s chart with the keyboard, from the newest backwards, and looks
/// each up in the database. The chart has the focus and is paused.
pub async fn must_agree(browser: &Browser, database: &Path, nic: &str, points: usize) {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(database, flags).unwrap();
    collector::store::sqlite::add_functions(&database).unwrap();
    for _ in 0..points {
        // ArrowLeft
        browser.keys(&["\u{e012}"]).await;
        browser
            .until(
                "document.querySelector('#hover [data-direction=rx]').textContent.includes('\u{a0}B ')",
            )
            .await;
        // Read in one step: the page may become live again at any time.
        let told = browser
            .value(
                "((hover) => [hover.dataset.time, plain(hover)])(document.querySelector('#hover'))",
            )
            .await;
        let time: f64 = told[0].as_str().unwrap().parse().unwrap();
        let text = told[1].as_str().unwrap();
        #[allow(clippy::cast_possible_truncation, reason = "whole milliseconds since 1970")]
        let time = time.round() as i64 * 1_000_000;
        let row: [i64; 4] = database
            .query_row(
                "SELECT rx_bytes, rx_packets, tx_bytes, tx_packets FROM bandwidth_stats
                 JOIN nics ON nics.id = nic WHERE name = ?1 AND time = ?2",
                rusqlite::params![nic, time],
                |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?]),
            )
            .unwrap_or_else(|error| panic!("{time}: {error}: {text}"));
        for figure in row {
            assert!(text.contains(&format!(" {} ", spaced(figure))), "{figure}: {text}");
        }
    }
}

/// End of a NIC's newest sample in the database, milliseconds since 1970; 0 if there is none.
pub fn committed_until_ms(database: &Path, nic: &str) -> f64 {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(database, flags).unwrap();
    collector::store::sqlite::add_functions(&database).unwrap();
    let newest = "SELECT max(time + interval_ns) / 1e6 FROM bandwidth_stats
                  JOIN nics ON nics.id = nic WHERE name = ?1";
    database.query_row(newest, [nic], |row| row.get::<_, Option<f64>>(0)).unwrap().unwrap_or(0.0)
}

/// A number in the page's format.
pub fn spaced(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}
