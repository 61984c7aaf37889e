//! Explains which part of a database URL is wrong, without showing secrets.

/// Parameters of libpq that have their own key here, or none, with the remedy.
const ELSEWHERE: [(&str, &str); 14] = [
    ("sslrootcert", "set database.ca to that file"),
    ("sslcert", "leave it out: the collector logs in by password"),
    ("sslkey", "leave it out: the collector logs in by password"),
    ("sslpassword", "leave it out: the collector logs in by password"),
    ("sslcrl", "leave it out"),
    ("sslcompression", "leave it out"),
    ("ssl_min_protocol_version", "leave it out: TLS is 1.2 or later"),
    ("ssl_max_protocol_version", "leave it out"),
    ("passfile", "set database.password_file to a file with the password alone"),
    ("service", "write host, user and database into the URL"),
    ("gssencmode", "leave it out"),
    ("krbsrvname", "leave it out"),
    ("client_encoding", "leave it out: it is always UTF8"),
    ("fallback_application_name", "leave it out"),
];

/// Known parameters.
const KNOWN: [&str; 20] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslmode",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
    "replication",
];

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// True for a URL whose user part ends early because the password contains a `/`. The part after it up
/// to the `@` is no database name; a name that contains an `@` must be written with `%40`.
pub(super) fn is_cut(url: &str) -> bool {
    let rest = SCHEMES.iter().find_map(|scheme| url.strip_prefix(scheme));
    let before = rest.and_then(|rest| rest.split('?').next()).unwrap_or_default();
    before.split_once('/').is_some_and(|(_, name)| name.contains('@'))
}

/// Why a URL, or text in libpq's `key=value` form, names no database.
pub(super) fn url_fault(url: &str) -> String {
    let rest = SCHEMES.iter().find_map(|scheme| url.strip_prefix(scheme));
    let Some(rest) = rest else {
        if url.contains("://") {
            return "begins with no postgres://; write postgres://user@host:5432/name".to_owned();
        }
        let mut named = url.split_whitespace().filter_map(|part| part.split_once('='));
        let fault = named.find_map(|(key, value)| parameter_fault(key, value));
        return fault.unwrap_or_else(|| {
            "no URL of a PostgreSQL database, and no host=... user=... dbname=... either; write \
             postgres://user@host:5432/name"
                .to_owned()
        });
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let escaped = "; or leave it out and set database.password_file";
    if rest.matches('@').count() > 1 {
        let part = "the password, or the user, has an @ of its own";
        return format!("{part}; write it as %40{escaped}");
    }
    // Text after a / or ? can't belong to the user part.
    if !authority.contains('@') && rest.contains('@') {
        let part = "the password, or the user, has a /, ? or #";
        return format!("{part}; write it as %2F, %3F or %23{escaped}");
    }
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if has_bad_escape(user) {
        let part = "the password, or the user, has a % that begins no %-escape";
        return format!("{part}; write it as %25{escaped}");
    }
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let mut named = query.split('&').filter_map(|part| part.split_once('='));
    if let Some(fault) = named.find_map(|(key, value)| parameter_fault(key, value)) {
        return fault;
    }
    if host.is_empty() {
        return "names no host; write postgres://user@host:5432/name".to_owned();
    }
    let port = |host: &str| host.rsplit_once(':').map(|(_, port)| port.parse::<u16>().is_err());
    if host.split(',').any(|host| !host.ends_with(']') && port(host) == Some(true)) {
        return "the part after the host's colon is no port; write postgres://user@host:5432/name, \
                and an IPv6 address in []"
            .to_owned();
    }
    "no URL of a PostgreSQL database; write postgres://user@host:5432/name".to_owned()
}

/// Explains a wrong parameter. Hides a name that could be part of a password.
fn parameter_fault(key: &str, value: &str) -> Option<String> {
    if let Some((_, way_out)) = ELSEWHERE.iter().find(|(name, _)| *name == key) {
        return Some(format!("{key}= is not known here; {way_out}"));
    }
    if key == "sslmode" && !["disable", "prefer", "require"].contains(&value) {
        return Some(
            "sslmode= can be disable, prefer, require, verify-ca or verify-full; with TLS the \
             certificate is always checked"
                .to_owned(),
        );
    }
    let plain = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let unknown = !KNOWN.contains(&key);
    (unknown && plain).then(|| format!("{key}= is not known here; leave it out"))
}

fn has_bad_escape(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.any(|part| {
        !part.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_is_wrong_is_named_and_no_secret() {
        for (url, part) in [
            ("postgres://u:hunter2@db/n?sslmode=require&sslrootcert=/ca.pem", "database.ca"),
            ("host=db user=u password=hunter2 sslrootcert=/ca.pem", "database.ca"),
            ("postgres://u:hunt@er2@db/n", "%40"),
            ("postgres://u:hunt/er2@db/n", "%2F"),
            ("postgres://u:hunt?er2=x@db/n", "%3F"),
            ("postgres://u:hunt%er2@db/n", "%25"),
            ("postgres://u:hunter2@db:port/n", "port"),
            ("postgres://u:hunter2@/n", "no host"),
            ("postgres://u:hunter2@db/n?sslmode=allow", "sslmode="),
            ("postgres://u:hunter2@db/n?colour=red", "colour="),
            ("mysql://u:hunter2@db/n", "postgres://"),
            ("hunter2", "postgres://"),
        ] {
            let fault = url_fault(url);
            assert!(fault.contains(part), "{url}: {fault}");
            assert!(!fault.contains("er2"), "{fault}");
        }
    }
}
