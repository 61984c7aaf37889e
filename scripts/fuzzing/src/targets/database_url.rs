//! Database URLs with passwords: any text as a URL, and any text as a password.

use collector::config::DatabaseSection;
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

/// A part of every password. Errors must not contain it.
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
        // `u:5?user=x...@db` may mean a port, and a user with an @.
        assert!(!shown.contains(SECRET) || password.contains('?'), "{url}: {shown}");
    }
}

/// The database as shown to people, or the error.
fn read(url: &str) -> Result<String, String> {
    let url = Some(Secret::new(url.to_owned()));
    let database = DatabaseSection { url, ..DatabaseSection::default() };
    assert!(!format!("{database:?}").contains(SECRET));
    let used = database.postgres().map_err(|problem| problem.to_string())?;
    let used = used.expect("with a URL, PostgreSQL is used");
    Ok(used.location().to_owned())
}
