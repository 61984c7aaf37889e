//! `bench store`: size and cost of a row in PostgreSQL, and how fast both stores take rows, beside the
//! fastest way of each database: the same rows into the same table with the same indexes, in the same
//! order and with as many rows per transaction.

mod agents;
mod citus;
mod postgres;
mod sqlite;
mod ways;

use self::agents::Agents;
pub use self::ways::Options;

/// Fills temporary stores.
///
/// # Errors
/// Fails if a store fails.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let rows = Agents::rows(options.clients, options.minutes);
    println!(
        "{} clients, 2 NICs each, {} minutes at 500 ms: {rows} rows\n",
        options.clients, options.minutes
    );
    if options.citus {
        let programs = testbed::citus::programs();
        let programs = programs.ok_or_else(|| anyhow::anyhow!("NETMON_TEST_CITUS is not set"))?;
        return runtime.block_on(citus::rates(options, &programs));
    }
    runtime.block_on(async {
        postgres::sizes(options).await?;
        postgres::rates(options).await?;
        sqlite::rates(options).await
    })
}
