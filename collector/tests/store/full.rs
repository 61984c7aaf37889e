//! A database on a full file system. It needs its own file system, and so a namespace.

use testbed::{Cluster, in_namespace, sh};

use crate::faults::Working;
use crate::postgres::{Postgres, config};
use collector::store::postgres::Authorities;

/// Uses up all space except a few pages.
const FILL: &str = "
    DO $$ BEGIN LOOP INSERT INTO ballast SELECT repeat('x', 4000) FROM generate_series(1, 10);
    COMMIT; END LOOP; END $$";

#[test]
fn a_full_file_system_loses_nothing_and_heals_when_there_is_space() {
    if !in_namespace() {
        return;
    }
    let cluster = Cluster::start();
    let small = cluster.address().0.join("small");
    let (small, data) = (small.display(), cluster.address().0.join("data"));
    sh(&format!(
        "mkdir {small} && mount -t tmpfs -o size=48m none {small} && \
         chown --reference={} {small} && chmod 700 {small}",
        data.display()
    ));
    let _made = cluster.psql("postgres", &format!("CREATE TABLESPACE small LOCATION '{small}'"));
    let _made = cluster.psql("postgres", "CREATE DATABASE tight TABLESPACE small");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let url = cluster.url("tight");
        let config = config(&url, Authorities::System);
        let mut working = Working::start(Postgres { url: url.clone(), config, _held: None }).await;
        let client = crate::cluster::client(&url).await;
        let ballast = "CREATE TABLE ballast (filling text);
                       ALTER TABLE ballast ALTER filling SET STORAGE PLAIN";
        client.batch_execute(ballast).await.unwrap();
        let full = client.batch_execute(FILL).await.unwrap_err();
        assert_eq!(full.code().unwrap().code(), "53100", "{full:?}");
        while working.deliver(1000) {}
        working.fails(&["SQLSTATE 53100", "free space"]).await;
        client.batch_execute("DROP TABLE ballast").await.unwrap();
        working.is_healed().await;
    });
    drop(runtime);
    cluster.stop("INT");
    sh(&format!("umount {small}"));
}
