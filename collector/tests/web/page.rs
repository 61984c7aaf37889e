//! The page and its files.

use crate::client::send;
use crate::server::server;

/// The files that the page refers to; none if the collector was built without its dashboard.
fn named(page: &str) -> Vec<String> {
    let files = page.split('"').filter(|text| text.starts_with("./"));
    files.map(|file| file[1..].to_owned()).collect()
}

#[tokio::test]
async fn the_page_and_its_files_are_served_compressed_small_and_name_no_other_place() {
    let server = server().await;
    let page = server.get("/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(!page.body.contains("<style") && !page.body.contains("style="));
    assert!(!page.body.contains("http://") && !page.body.contains("https://"));
    let files = named(&page.body);
    if files.is_empty() {
        assert!(page.body.contains("scripts/build"), "says how to get the dashboard");
        return;
    }
    let mut total = 0;
    for file in files {
        let answer = server.get(&file).await;
        assert_eq!(answer.status, 200, "{file}");
        let request =
            format!("HEAD {file} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip, br");
        let compressed = send(&server.address, &request).await;
        assert_eq!(compressed.header("content-encoding"), Some("gzip"), "{file}");
        total += compressed.header("content-length").unwrap().parse::<usize>().unwrap();
        for sink in ["outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!answer.body.contains(sink), "{file}: {sink}");
        }
    }
    assert!((1..200_000).contains(&total), "{total} bytes compressed");
}

#[tokio::test]
async fn a_browser_that_has_a_file_is_not_sent_it_again() {
    let server = server().await;
    let etag = server.get("/").await.header("etag").unwrap().to_owned();
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {etag}");
    let again = send(&server.address, &request).await;
    assert_eq!((again.status, again.body.as_str()), (304, ""));
}
