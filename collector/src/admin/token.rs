//! Tokens: made, listed, cancelled.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::IpAddr;

use rustls::pki_types::UnixTime;
use settings::{Foreign, InFull};
use wire::pem::TlsFiles;
use wire::token::{Address, Token, id};

use super::error::AdminError;
use super::shared::{audited, block_on, has_id, utc};
use crate::audit::{AuditEvent, AuditRecord, Pending, operator};
use crate::cli::TokenArgs;
use crate::config::Config;
use crate::identity::{Identity, NewToken, OpenToken, OpenTokens, TokenUse};
use crate::run::open_identity;
use crate::store_location::{StoreLocation, StoreLocationError};

/// Most addresses that a token names.
const ADDRESSES: usize = 4;

/// Shortest prefix of a token's id that names it, characters.
const ID_MIN: usize = 6;

/// A token, and the text about it.
#[derive(Debug)]
pub struct Made {
    /// The token as text.
    pub token: String,
    /// What it is valid for, and the next step.
    pub note: String,
    /// A warning, if there is one.
    pub warning: Option<String>,
}

/// Makes a token.
///
/// # Errors
/// [`AdminError`] names the file that can't be written, or the client that is there already.
pub fn token(
    config: &Config,
    location: &StoreLocation,
    tls: Option<&TlsFiles>,
    wanted: &TokenArgs,
) -> Result<Made, AdminError> {
    let now = UnixTime::now();
    let identity = open_identity(config, tls)?;
    let known = match &wanted.client {
        None => None,
        Some(client) if identity.records().knows(client)? => Some(true),
        // If the store can't be reached it is unknown; it is checked again when the token is used.
        Some(client) => block_on::<_, StoreLocationError>(has_id(location, client)).ok(),
    };
    if let (Some(client), Some(true), false) = (&wanted.client, known, wanted.replace) {
        return Err(AdminError::ClientExists(client.clone()));
    }
    let TokenArgs { client, replace, matching, uses, expires, .. } = wanted.clone();
    let life = expires.0;
    let who = match (&client, &matching) {
        (Some(client), _) if replace => format!("for a host that takes over {client}"),
        (Some(client), _) => format!("for the new client {client}"),
        (None, Some(glob)) => format!("for new clients {glob}"),
        (None, None) => "for any new client".to_owned(),
    };
    let times = if uses == 1 { "once".to_owned() } else { format!("for {uses} hosts") };
    let until = utc(now.as_secs().saturating_add(life.as_secs()));
    let warning = client.as_ref().filter(|_| replace && known == Some(false)).map(|client| {
        format!("client {client} isn't known here yet: the token makes it and replaces nobody")
    });
    let record = AuditRecord {
        client: client.as_ref().map(ToString::to_string),
        matching: matching.as_ref().map(ToString::to_string),
        uses: Some(uses),
        until: Some(until.clone()),
        detail: replace.then(|| "replaces the client".to_owned()),
        ..AuditRecord::new(AuditEvent::TokenMade)
    };
    let addresses = addresses(&config.server.host, config.server.port);
    let by = Some(operator());
    let new = NewToken { life, client, replace, matching, uses, by, addresses };
    let token = identity.new_token(new, now)?;
    let digest = token.secret.digest();
    let record = AuditRecord { token: Some(id(&digest).to_owned()), ..record };
    if let Err(error) = Pending::of(&config.data_dir).leave(record, now) {
        identity.cancel_token(&digest)?;
        return Err(AdminError::Unaudited { done: "no token was made".to_owned(), error });
    }
    let note = format!(
        "good {times}, {who}, until {until}; on the host, as root: agent enroll -\n(it asks for \
         the token, since every user of the host can read a command line)"
    );
    Ok(Made { token: token.to_string(), note, warning })
}

/// Lists the tokens that can still be used, without their secrets.
///
/// # Errors
/// [`AdminError`] names the file that can't be read.
pub fn tokens(
    config: &Config,
    location: &StoreLocation,
    tls: Option<&TlsFiles>,
) -> Result<String, AdminError> {
    let now = UnixTime::now();
    let OpenTokens { tokens: open, damaged } = open_identity(config, tls)?.open_tokens(now)?;
    // Uses at other collectors of the store; without them the list covers this one only.
    let (used, unknown) = match block_on::<_, StoreLocationError>(used(location)) {
        Ok(used) => (used, None),
        Err(error) => (HashMap::new(), Some(error)),
    };
    let mut table = format!(
        "{:12} {:30} {:>13} {:25} {:25} {}\n",
        "id", "client", "uses left", "since (UTC)", "until (UTC)", "made by"
    );
    let mut rows = 0;
    for token in &open {
        let used = token.used.max(used.get(&token.digest).copied().unwrap_or(0));
        let left = token.uses.saturating_sub(used);
        if left == 0 {
            continue;
        }
        rows += 1;
        let (id, left) = (id(&token.digest), format!("{left} of {}", token.uses));
        let since = token.made_at.map_or_else(|| "-".to_owned(), utc);
        let by = token.made_by.as_deref().unwrap_or("-");
        // Writing to a String can't fail.
        let _ = writeln!(
            table,
            "{id:12} {:30} {left:>13} {since:25} {:25} {}",
            Foreign(&whom(token)),
            utc(token.expires_at),
            Foreign(by)
        );
    }
    if rows == 0 {
        table = "no token can be used; make one: collector token\n".to_owned();
    }
    for damaged in damaged {
        let _ = writeln!(table, "{}", Foreign(&damaged));
    }
    if let Some(error) = unknown {
        let _ = writeln!(
            table,
            "can't ask for uses at other collectors of the store: {}",
            Foreign(&error.in_full().to_string())
        );
    }
    Ok(table.trim_end().to_owned())
}

/// Whom a token is for.
fn whom(token: &OpenToken) -> String {
    match (&token.client, &token.matching) {
        (Some(client), _) if token.replace => format!("{client} (replaces it)"),
        (Some(client), _) => client.clone(),
        (None, Some(glob)) => format!("new, {glob}"),
        (None, None) => "any new".to_owned(),
    }
}

/// How often tokens were used, as the store knows.
async fn used(location: &StoreLocation) -> Result<HashMap<String, u32>, StoreLocationError> {
    if !location.is_used().await? {
        return Ok(HashMap::new());
    }
    let used = location.open_to_enrol()?.used().await;
    Ok(used.map_err(StoreLocationError::Uses)?.into_iter().collect())
}

/// Cancels the token that `named` names: its id as [`tokens`] lists it, or the token itself. Other
/// collectors of the store refuse it too. Returns a text about the result.
///
/// # Errors
/// [`AdminError::NoSuchToken`] if there is none, or more than one.
pub fn cancel(
    config: &Config,
    location: &StoreLocation,
    tls: Option<&TlsFiles>,
    named: &str,
) -> Result<String, AdminError> {
    let now = UnixTime::now();
    let identity = open_identity(config, tls)?;
    let token = find(&identity, named, now)?;
    let name = id(&token.digest);
    if !identity.cancel_token(&token.digest)? {
        return Err(AdminError::NoSuchToken(name.to_owned()));
    }
    let record = AuditRecord {
        token: Some(name.to_owned()),
        ..AuditRecord::new(AuditEvent::TokenCancelled)
    };
    let told = block_on::<_, StoreLocationError>(use_up(location, &token, now));
    let done = match told {
        Ok(()) => format!("token {name} is cancelled"),
        Err(error) => format!(
            "token {name} is cancelled here; collectors of the store that have a copy of this \
             one's identity could not be told: {}",
            error.in_full()
        ),
    };
    audited(config, record, done)
}

/// The open token of a name.
fn find(identity: &Identity, named: &str, now: UnixTime) -> Result<OpenToken, AdminError> {
    let digest = named.parse::<Token>().map(|token| token.secret.digest());
    let name = digest.unwrap_or_else(|_| named.trim().to_ascii_lowercase());
    let hexadecimal = name.bytes().all(|b| b.is_ascii_hexdigit());
    let unknown = || AdminError::NoSuchToken(named.to_owned());
    if name.len() < ID_MIN || !hexadecimal {
        return Err(unknown());
    }
    let open = identity.open_tokens(now)?.tokens;
    let mut found = open.into_iter().filter(|it| it.digest.starts_with(&name));
    match (found.next(), found.next()) {
        (Some(token), None) => Ok(token),
        _ => Err(unknown()),
    }
}

async fn use_up(
    location: &StoreLocation,
    token: &OpenToken,
    now: UnixTime,
) -> Result<(), StoreLocationError> {
    if !location.is_used().await? {
        return Ok(());
    }
    let (digest, allowed, expires_at) = (token.digest.clone(), token.uses, token.expires_at);
    let all = TokenUse { token: digest, allowed, expires_at, now };
    location.open_to_enrol()?.use_up(&all).await.map_err(StoreLocationError::Uses)
}

/// The addresses at which agents may reach this collector: the one it listens on, else the host's
/// name and its addresses.
fn addresses(host: &str, port: u16) -> Vec<Address> {
    let any = host.parse().ok().filter(IpAddr::is_unspecified);
    let hosts = any.map_or_else(|| vec![host.to_owned()], own_hosts);
    hosts.into_iter().take(ADDRESSES).map(|host| Address { host, port }).collect()
}

/// `any` stands for all addresses: of both kinds, or of IPv4 only.
fn own_hosts(any: IpAddr) -> Vec<String> {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let routable = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
        let v6 = address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip()));
        let link_local = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        let listened_on = |ip: &IpAddr| ip.is_ipv4() || any.is_ipv6();
        let reached = |ip: &IpAddr| listened_on(ip) && !ip.is_loopback() && !link_local(ip);
        v4.or(v6).filter(reached).map(|ip| ip.to_string())
    });
    routable.take(ADDRESSES - 1).chain(name).collect()
}
