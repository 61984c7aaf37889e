//! Certificates, tokens and who gets in.

use testbed::{Site, done, wait_until};

use crate::inside;

#[test]
fn an_agent_whose_certificate_is_about_to_end_renews_it_and_loses_nothing() {
    if !inside(
        module_path!(),
        "an_agent_whose_certificate_is_about_to_end_renews_it_and_loses_nothing",
    ) {
        return;
    }
    let (pair, site) = (testbed::Pair::new(), Site::new());
    let collector = site.start_collector();
    site.enroll();
    // The same key, in a certificate whose last seconds these are.
    let identity = site.dir().join("agent/identity");
    let mut shorten = testbed::siege::python("shorten.py");
    let _said =
        done(shorten.arg(site.identity()).arg(&identity).args(["host-1", "30"]).output().unwrap());
    let serial = || std::fs::read(identity.join("cert.pem")).unwrap();
    let before = serial();
    let agent = site.start_agent();
    wait_until("capture", || agent.log().contains("session begins"));
    pair.bulk(1_000_000);
    wait_until("the next certificate", || serial() != before);
    // Beyond the life of the first.
    pair.bulk(1_000_000);
    pair.wait_for_silence();
    agent.stop();
    collector.stop();
    assert_eq!(site.stored("here"), pair.sent_there());
}
