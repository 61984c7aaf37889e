//! Claims of places as statements. The lock on the client's row decides which one is first.

use std::collections::HashSet;
use std::sync::Arc;

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use wire::id::{ClientId, SessionId};
use wire::message::{Claim, HostKey};

use super::connect::BEGIN;
use super::error::Failure;
use super::group::{GroupWrite, IMPATIENT};
use super::transaction::{begin_with, commit_with};
use super::values::number;
use crate::store::rows::claims::{Holder, Lost, PlaceId, SILENCE};

/// A value and its type in the database.
pub(super) type TypedValue<'a> = (&'a (dyn ToSql + Sync), Type);

/// A host that connects and claims its client's place.
#[derive(Debug)]
pub(super) struct NewClaim {
    pub client: ClientId,
    pub holder: Holder,
}

impl GroupWrite for NewClaim {
    type Key = ClientId;
    /// The host that holds the place instead.
    type Done = Option<Holder>;

    fn key(&self) -> &ClientId {
        &self.client
    }

    async fn alone(&self, db: &Client) -> Result<Option<Holder>, Failure> {
        claim(db, &self.client, &self.holder, None).await
    }

    /// Those whose places are free or theirs.
    async fn together(
        db: &Client,
        claims: &[Arc<Self>],
    ) -> Result<Vec<Option<Option<Holder>>>, Failure> {
        let insert = format!(
            "INSERT INTO claims AS held {COLUMNS}
             SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7) AS new {COLUMNS}
             ORDER BY client_id COLLATE \"C\" ON CONFLICT (client_id) DO {TAKE}
             RETURNING client_id"
        );
        let holders = || claims.iter().map(|it| &it.holder);
        let numbers =
            |at: usize| holders().map(move |it| numbers(it.place)[at]).collect::<Vec<_>>();
        let names: Vec<&str> = claims.iter().map(|it| it.client.as_str()).collect();
        let keys = || holders().map(|it| &it.claim.host);
        let values: [TypedValue<'_>; 7] = [
            (&names, Type::TEXT_ARRAY),
            (&numbers(0), Type::INT8_ARRAY),
            (&numbers(1), Type::INT8_ARRAY),
            (&keys().map(|it| it.machine.as_slice()).collect::<Vec<_>>(), Type::BYTEA_ARRAY),
            (&keys().map(|it| it.boot.as_slice()).collect::<Vec<_>>(), Type::BYTEA_ARRAY),
            (
                &holders().map(|it| it.claim.session.to_column()).collect::<Vec<_>>(),
                Type::INT8_ARRAY,
            ),
            (&holders().map(|it| it.address.to_string()).collect::<Vec<_>>(), Type::TEXT_ARRAY),
        ];
        let begin = format!("{BEGIN}{IMPATIENT}");
        let insert = db.query_typed(&insert, &values);
        let rows = begin_with(db, &begin, commit_with(db, insert)).await?;
        let taken = rows.iter().map(|row| row.try_get(0)).collect::<Result<HashSet<&str>, _>>()?;
        Ok(names.iter().map(|name| taken.contains(name).then_some(None)).collect())
    }
}

const COLUMNS: &str = "(client_id, collector, place, machine, boot, session, address)";

/// Takes a place from the same run of the same agent, which has come over a new connection, maybe from
/// another collector.
const TAKE: &str = "UPDATE SET
             collector = excluded.collector, place = excluded.place,
             machine = excluded.machine, boot = excluded.boot,
             session = excluded.session, address = excluded.address,
             answered = held.question
         WHERE (held.machine, held.boot, held.session)
                 = (excluded.machine, excluded.boot, excluded.session)";

/// Takes a client's place for a host that comes, or is all that is left of the `lost` one. Returns the host
/// that holds it instead.
pub(super) async fn claim(
    db: &Client,
    client: &ClientId,
    holder: &Holder,
    lost: Option<Lost>,
) -> Result<Option<Holder>, Failure> {
    let claim = format!(
        "{} {TAKE}
         -- That whose connection to the same collector has ended; the silent one, unless an answer has
         -- come by now.
             OR (held.collector, held.place) = ($8, $9)
                 AND ($10 IS NULL OR (held.answered < $10
                     AND held.asked_since <= now() - make_interval(secs => $11)))",
        insert()
    );
    let (lost, question) = match lost {
        Some(Lost::Ended(place)) => (Some(place), None),
        Some(Lost::Silent(place, question)) => (Some(place), Some(question.cast_signed())),
        None => (None, None),
    };
    let lost = lost.map(numbers);
    let [collector, place] = [0, 1].map(|at| lost.map(|it: [i64; 2]| it[at]));
    let silence = SILENCE.as_secs_f64();
    let lost: [TypedValue<'_>; 4] = [
        (&collector, Type::INT8),
        (&place, Type::INT8),
        (&question, Type::INT8),
        (&silence, Type::FLOAT8),
    ];
    claimed(db, &claim, (client, holder), &lost).await
}

/// Takes a client's place again, unless a host holds it; returns that one.
pub(super) async fn claim_again(
    db: &Client,
    client: &ClientId,
    holder: &Holder,
) -> Result<Option<Holder>, Failure> {
    claimed(db, &format!("{} NOTHING", insert()), (client, holder), &[]).await
}

fn insert() -> String {
    format!(
        "INSERT INTO claims AS held {COLUMNS} VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (client_id) DO"
    )
}

/// Runs a statement that claims a place; returns the host that holds it instead.
async fn claimed(
    db: &Client,
    claim: &str,
    (client, holder): (&ClientId, &Holder),
    lost: &[TypedValue<'_>],
) -> Result<Option<Holder>, Failure> {
    let Holder { place, claim: Claim { host, session }, address } = holder;
    let (name, numbers) = (client.as_str(), numbers(*place));
    let (address, session) = (address.to_string(), session.to_column());
    let (machine, boot) = (host.machine.as_slice(), host.boot.as_slice());
    let [name, collector, place] = values(&name, &numbers);
    let mut given: Vec<TypedValue<'_>> = vec![
        name.clone(),
        collector,
        place,
        (&machine, Type::BYTEA),
        (&boot, Type::BYTEA),
        (&session, Type::INT8),
        (&address, Type::TEXT),
    ];
    given.extend_from_slice(lost);
    let select = "SELECT collector, place, machine, boot, session, address FROM claims
                  WHERE client_id = $1";
    loop {
        if db.execute_typed(claim, &given).await? == 1 {
            return Ok(None);
        }
        // If it is gone by now, the place is free.
        if let Some(row) = db.query_typed(select, std::slice::from_ref(&name)).await?.first() {
            return Ok(Some(other(row)?).filter(|other| other.place != holder.place));
        }
    }
}

fn other(row: &Row) -> Result<Holder, Failure> {
    let key = |at| {
        let key = row.try_get::<_, &[u8]>(at)?.try_into();
        key.map_err(|_| Failure::failed("a host key in claims is not 16 bytes long"))
    };
    let place = PlaceId { collector: number(row, 0)?, number: number(row, 1)? };
    let host = HostKey { machine: key(2)?, boot: key(3)? };
    let claim = Claim { host, session: SessionId::of_column(row.try_get(4)?) };
    let address = row.try_get::<_, &str>(5)?.parse();
    let address = address.map_err(|_| Failure::failed("claims holds an invalid address"))?;
    Ok(Holder { place, claim, address })
}

/// A client's place as parameters of statements.
pub(super) fn values<'a>(
    client: &'a &str,
    [collector, place]: &'a [i64; 2],
) -> [TypedValue<'a>; 3] {
    [(client, Type::TEXT), (collector, Type::INT8), (place, Type::INT8)]
}

pub(super) const fn numbers(place: PlaceId) -> [i64; 2] {
    [place.collector.cast_signed(), place.number.cast_signed()]
}
