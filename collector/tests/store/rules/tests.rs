//! Each rule catches its fault, and what Citus takes breaks none.

use super::*;

fn broken(texts: &[&str]) -> Vec<String> {
    let mut rules = Rules::default();
    texts.iter().for_each(|text| rules.take(1, &digest(text)));
    rules.broken()
}

#[test]
fn each_rule_catches_its_fault() {
    for (fault, words) in [
        (
            "SELECT EXISTS (SELECT FROM bandwidth_stats_default WHERE time < now())",
            "empty select",
        ),
        (
            "WITH old AS (DELETE FROM bandwidth_5m_default WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM bandwidth_5m_default LIMIT 10)) RETURNING *)
             SELECT count(*) FROM old",
            "ctid",
        ),
        (
            "CREATE FUNCTION sums(of_client text) RETURNS bigint LANGUAGE sql STABLE AS $$
                 SELECT sum(rx_bytes) FROM bandwidth_samples WHERE client_id = of_client $$",
            "the function sums is of SQL",
        ),
        (
            "BEGIN; LOCK TABLE bandwidth_1m_p20000 IN ACCESS EXCLUSIVE MODE;
             DROP TABLE bandwidth_1m_p20000; COMMIT",
            "bandwidth_1m_p20000 is locked before its table",
        ),
        ("DROP TABLE traffic_mix_p20000", "dropped without its table's lock"),
        (
            "SELECT time FROM bandwidth_5m WHERE (client, nic) = (SELECT c.id, n.id FROM
                 clients c JOIN nics n ON n.client = c.id WHERE client_id = 'web')",
            "without client =",
        ),
        (
            "SELECT sum(rx_bytes) FROM bandwidth_1m
             WHERE client = (SELECT id FROM clients WHERE client_id = $1)",
            "without client =",
        ),
        (
            "SELECT * FROM clients c JOIN bandwidth_samples s USING (client_id)
             WHERE c.client_id = 'web'",
            "without client =",
        ),
        ("SELECT time FROM bandwidth_5m WHERE client = $1 OR nic = $2", "without client ="),
        (
            "BEGIN; LOCK TABLE ONLY bandwidth_5m IN ACCESS EXCLUSIVE MODE;
             ALTER TABLE bandwidth_5m DETACH PARTITION bandwidth_5m_p20000; COMMIT",
            "ALTER beside",
        ),
        (
            "CREATE TABLE bandwidth_1m_p1 (LIKE bandwidth_1m);
             ALTER TABLE bandwidth_1m ATTACH PARTITION bandwidth_1m_p1
                 FOR VALUES FROM ('1970-01-02') TO ('1970-01-03')",
            "ALTER beside",
        ),
        (
            "ALTER TABLE bandwidth_5m_p20000 RENAME TO expiring_bandwidth_5m_p20000; COMMIT",
            "ALTER beside",
        ),
        (
            "DROP TABLE gone; ALTER TABLE expiring_bandwidth_5m_p1 RENAME TO kept",
            "ALTER beside",
        ),
        ("ALTER INDEX traffic_mix_nic RENAME TO traffic_mix_of_nic; SELECT 1", "ALTER beside"),
        ("SELEKT 1 FROM bandwidth_5m", "not understood"),
        (
            "INSERT INTO client_days (client, day)
             SELECT DISTINCT client, nic::bigint / 2 FROM bandwidth_5m WHERE client = $1 ORDER BY 1, 2",
            "DISTINCT and ORDER BY in an INSERT",
        ),
    ] {
        let broken = broken(&[fault]);
        assert!(broken.iter().any(|it| it.contains(words)), "{fault}: {broken:?}");
    }
}

#[test]
fn what_citus_takes_breaks_no_rule() {
    let function = |language: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION sums() RETURNS TABLE (n bigint) LANGUAGE {language} AS $$
             BEGIN RETURN QUERY SELECT sum(rx_bytes) FROM bandwidth_5m; END $$"
        )
    };
    for texts in [
        &[
            "BEGIN; LOCK TABLE ONLY bandwidth_1m IN ACCESS EXCLUSIVE MODE",
            "LOCK TABLE bandwidth_1m_p20000 IN ACCESS EXCLUSIVE MODE; DROP TABLE bandwidth_1m_p20000",
            "COMMIT",
        ][..],
        &[&function("sql"), &function("plpgsql")],
        &[
            "BEGIN; LOCK TABLE ONLY bandwidth_5m IN ACCESS EXCLUSIVE MODE",
            "ALTER TABLE bandwidth_5m DETACH PARTITION bandwidth_5m_p20000",
            "ALTER TABLE bandwidth_5m_p20000 RENAME TO expiring_bandwidth_5m_p20000",
            "COMMIT",
        ],
        &["ALTER TABLE gaps ADD COLUMN arrived timestamptz; CREATE INDEX a ON gaps (arrived)"],
        &["SELECT time FROM bandwidth_5m r WHERE r.client = $1 AND (nic = $2 OR nic = 7)"],
        &["SELECT * FROM bandwidth_samples WHERE client = -1"],
        &["COPY bandwidth_stats_p20000 (time, client) FROM STDIN BINARY"],
        &["INSERT INTO client_days (client, day)
           SELECT client, nic::bigint / 2 FROM bandwidth_5m WHERE client = $1 GROUP BY 1, 2 ORDER BY 1, 2"],
        &["SELECT DISTINCT client, nic FROM bandwidth_5m WHERE client = $1 ORDER BY 1, 2"],
        &["DROP TABLE imported_bandwidth_1m"],
        &["COMMENT ON COLUMN gaps.reason IS 'in one line, '\n    'and the next'"],
    ] {
        assert_eq!(broken(texts), [""; 0], "{texts:?}");
    }
    let again = [
        "BEGIN; LOCK TABLE ONLY bandwidth_1m IN ACCESS EXCLUSIVE MODE; COMMIT",
        "BEGIN; DROP TABLE bandwidth_1m_p1; COMMIT",
    ];
    assert_eq!(broken(&again).len(), 1, "another transaction's lock doesn't count");
}
