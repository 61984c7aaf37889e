//! What others may read of samples and mixes and ask of them, once their tables are views.

use settings::InFull;
use tokio_postgres::Client;

use super::error::Failure;

/// A table that was renamed, since a view has its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Viewed {
    table: &'static str,
    /// The table of stretches; the sequence of their numbers is named after it.
    packed: &'static str,
    view: &'static str,
    /// All views of the schema over it.
    own: &'static str,
}

/// The tables of samples and of mixes.
pub(super) const VIEWED: [Viewed; 2] = [
    Viewed {
        table: "hot_samples",
        packed: "packed_samples",
        view: "bandwidth_stats",
        own: "{bandwidth_stats, bandwidth_samples, bandwidth_report}",
    },
    Viewed {
        table: "hot_mixes",
        packed: "packed_mixes",
        view: "traffic_mix",
        own: "{traffic_mix}",
    },
];

impl Viewed {
    /// Statements that give the rights on the table for the view and for what is packed too.
    fn rights(self) -> String {
        let Self { table, packed, view, .. } = self;
        format!(
            "SELECT format('GRANT %s ON %s TO %s%s', kind, place, who,
                           CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END)
             FROM (SELECT privilege_type AS kind, is_grantable,
                       CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS who
                   FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
                   WHERE oid = to_regclass('{table}') AND grantee <> relowner) AS rights
             JOIN (VALUES ('{packed}', ''), ('{view}', 'SELECT')) AS places (place, needs)
                 ON needs IN ('', kind)
             UNION ALL
             SELECT DISTINCT format('GRANT USAGE ON SEQUENCE {packed}_id TO %s', grantee::regrole)
             FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
             WHERE oid = to_regclass('{table}') AND grantee NOT IN (0, relowner)
                 AND privilege_type = 'INSERT'"
        )
    }

    /// Views of others over the table, and how each reads the view of all rows instead. A materialized one can't be
    /// replaced.
    fn views(self) -> String {
        let Self { table, view, own, .. } = self;
        format!(
            r"SELECT DISTINCT v.oid::regclass::text, CASE v.relkind WHEN 'v' THEN
                  format('CREATE OR REPLACE VIEW %s%s AS %s', v.oid::regclass,
                         ' WITH (' || array_to_string(v.reloptions, ', ') || ')',
                         regexp_replace(pg_get_viewdef(v.oid), '\m{table}\M', '{view}', 'g')) END
              FROM pg_depend d
              JOIN pg_rewrite r ON r.oid = d.objid
              JOIN pg_class v ON v.oid = r.ev_class
              WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
                AND d.refobjid = to_regclass('{table}')
                AND v.oid <> ALL ('{own}'::regclass[]::oid[])
              ORDER BY 1"
        )
    }
}

/// Keeps rights and views on a table, in the migration that makes it a view.
pub(super) async fn keep(client: &Client, viewed: Viewed) -> Result<(), Failure> {
    for row in client.query_typed(&viewed.rights(), &[]).await? {
        client.batch_execute(row.try_get(0)?).await?;
    }
    for row in client.query_typed(&viewed.views(), &[]).await? {
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
                "this view lacks packed rows; make it again over {}",
                viewed.view
            );
        }
    }
    Ok(())
}
