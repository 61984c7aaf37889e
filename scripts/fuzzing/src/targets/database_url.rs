//! URLs of a database with a password in them: as whole, and with a password of any characters.

use collector::config::Database;
use settings::Secret;

use super::support::{KIB, MIB};
use crate::target::Target;

pub(super) const TARGET: Target = Target {
    name: "database_url",
    about: "database.url: any text, and any password in it (collector::config)",
    input_max: KIB,
    memory_max: 4 * MIB,
    run,
};

/// A part of every password, by which it would be seen in an error.
const SECRET: &str = "hunter2";

fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _checked = read(text);
    let (password, rest) = text.split_once('\n').unwrap_or((text, "db/n"));
    for url in [
        format!("postgres://u:{SECRET}{password}@{rest}"),
        format!("postgres://u:{password}{SECRET}@{rest}"),
        format!("host={rest} user=u password={SECRET}{password}"),
    ] {
        let shown = read(&url).unwrap_or_else(|error| error);
        // `u:5?user=x...@db` may be meant: a port, and a user with an @.
        assert!(!shown.contains(SECRET) || password.contains('?'), "{url}: {shown}");
    }
}

/// Where the database is, as people are shown it, or why it is nowhere.
fn read(url: &str) -> Result<String, String> {
    let url = Some(Secret::new(url.to_owned()));
    let database = Database { url, ..Database::default() };
    assert!(!format!("{database:?}").contains(SECRET));
    let used = database.postgres().map_err(|problem| problem.to_string())?;
    let used = used.expect("with a URL, PostgreSQL is used");
    Ok(used.location().to_owned())
}
