//! What others may read of samples and ask of them, once the table is a view.

use settings::InFull;
use tokio_postgres::Client;

use super::error::Failure;

/// Rights on the table of samples, which hold for the view and for packed samples too.
const RIGHTS: &str = "
    SELECT format('GRANT %s ON %s TO %s%s', kind, place, who, CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END)
    FROM (SELECT privilege_type AS kind, is_grantable,
              CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS who
          FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
          WHERE oid = to_regclass('hot_samples') AND grantee <> relowner) AS rights
    JOIN (VALUES ('packed_samples', ''), ('bandwidth_stats', 'SELECT')) AS places (place, needs)
        ON needs IN ('', kind)
    UNION ALL
    SELECT DISTINCT format('GRANT USAGE ON SEQUENCE packed_samples_id TO %s', grantee::regrole)
    FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
    WHERE oid = to_regclass('hot_samples') AND grantee NOT IN (0, relowner) AND privilege_type = 'INSERT'";

/// Views of others over the table, and how each reads the view of all samples instead. A materialized one can't be
/// replaced.
const VIEWS: &str = r"
    SELECT DISTINCT v.oid::regclass::text, CASE v.relkind WHEN 'v' THEN
        format('CREATE OR REPLACE VIEW %s%s AS %s', v.oid::regclass,
               ' WITH (' || array_to_string(v.reloptions, ', ') || ')',
               regexp_replace(pg_get_viewdef(v.oid), '\mhot_samples\M', 'bandwidth_stats', 'g')) END
    FROM pg_depend d
    JOIN pg_rewrite r ON r.oid = d.objid
    JOIN pg_class v ON v.oid = r.ev_class
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = to_regclass('hot_samples') AND v.oid <> ALL
          (ARRAY['bandwidth_stats', 'bandwidth_samples', 'bandwidth_report']::regclass[]::oid[])
    ORDER BY 1";

/// Keeps rights and views on the table of samples, in the migration that makes it a view.
pub(super) async fn keep(client: &Client) -> Result<(), Failure> {
    for row in client.query_typed(RIGHTS, &[]).await? {
        client.batch_execute(row.try_get(0)?).await?;
    }
    for row in client.query_typed(VIEWS, &[]).await? {
        let (view, replace): (&str, Option<&str>) = (row.try_get(0)?, row.try_get(1)?);
        client.batch_execute("SAVEPOINT replaced").await?;
        let failed = match replace {
            Some(replace) => client.batch_execute(replace).await.err(),
            None => None,
        };
        if failed.is_some() {
            client.batch_execute("ROLLBACK TO replaced").await?;
        }
        if replace.is_none() || failed.is_some() {
            let error = failed.map(|it| it.in_full().to_string()).unwrap_or_default();
            tracing::warn!(
                view,
                error,
                "this view lacks packed samples; make it again over bandwidth_stats"
            );
        }
    }
    Ok(())
}
