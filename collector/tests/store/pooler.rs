//! The suite on PostgreSQL through pgbouncer in transaction mode, where sessions are shared.

use collector::store::postgres::Authorities;

use crate::cluster;
use crate::postgres::{Postgres, config, fresh};

async fn pooled() -> Postgres {
    let place = fresh().await;
    let name = place.url.rsplit('=').next().unwrap();
    let config = config(&cluster::pooled(name), Authorities::System);
    Postgres { config, ..place }
}

crate::behaviours!(pooled());
