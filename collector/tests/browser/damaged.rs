//! The talkers' panel with damaged records.

use crate::driver::Browser;
use crate::talkers::{MINUTES, PANEL, line, made, millis};

#[tokio::test(flavor = "multi_thread")]
async fn damaged_records_that_were_left_out_are_counted() {
    let made = made().await;
    let (first, last) = made.minutes;
    let browser = Browser::start(&made.site.address).await;
    let range = format!("from={}&to={}", millis(first), millis(last));
    browser.open(&format!("/client/web-1/eth0?{range}&talkers=rx-host-rate")).await;
    browser.until(&format!("{}?.startsWith('1. 203.0.113.77') === true", line("1"))).await;
    let damaged = "document.querySelector('#talkers-damaged')";
    browser.until(&format!("{damaged}.hidden")).await;
    let database =
        rusqlite::Connection::open(made.site.directory.path().join("netmon.sqlite")).unwrap();
    let cut = |which: &str| {
        let cut =
            format!("UPDATE talkers SET bytes = substr(bytes, 2) WHERE direction = 0 {which}");
        database.execute(&cut, []).unwrap();
    };
    let counted = |count: u64, text: &str| {
        format!("!{damaged}.hidden && {damaged}.textContent.includes('{text}{count}')")
    };
    cut("AND time = (SELECT max(time) FROM talkers WHERE kind = 0)");
    let by = |by: &str| format!("/client/web-1/eth0?{range}&talkers=rx-{by}-rate");
    browser.open(&by("owner")).await;
    browser.until(&counted(1, "left out: ")).await;
    browser.until(&format!("{}?.startsWith('1. unit nginx') === true", line("1"))).await;
    browser.must_be_accessible().await;
    browser.click("#language").await;
    browser.until(&counted(1, "略过的损坏记录：")).await;
    browser.click("#language").await;
    // Without any other, it isn't said that none are stored.
    cut("");
    browser.open(&by("service")).await;
    browser.until(&counted(MINUTES - 1, "left out: ")).await;
    browser.until(&format!("!{PANEL}.textContent.includes('No talkers are stored')")).await;
    browser.must_be_content().await;
}
