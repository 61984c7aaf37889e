//! Arguments of `collector silence`.

use clap::{Args, Subcommand};
use settings::{InFull, Interval, InvalidInterval};
use wire::WallNs;
use wire::tag::{Tag, TagError};

use super::values::{reason, time};
use crate::alerts::{SILENCE_MAX, compiled_glob};
use crate::store::AlertSilence;
use crate::time::Time;

/// What can be done with silences.
#[derive(Debug, Clone, Subcommand)]
pub enum SilenceCommand {
    /// Send no messages about some alerts for a while
    #[command(
        after_help = "Examples: collector silence add --client 'web-*' --for 2h --reason 'new switch'\n          \
                      collector silence add --tag site=ams --from 2026-12-01T22:00:00Z --until \
                      2026-12-02T04:00:00Z --reason 'works of the carrier'\n          \
                      collector silence add --for 10m --reason drill\n\n\
                      A silence is about the alerts that match all that is given; without any, about \
                      all. They fire and are listed, and once the silence ends, what still fires is \
                      told. Running collectors know it within 2 s."
    )]
    Add(SilenceAdd),
    /// List the silences that hold now or later
    #[command(after_help = "Example: collector silence list")]
    List,
    /// End a silence before its time
    #[command(after_help = "Example: collector silence end 8f3a1c90d2b7")]
    End(SilenceEnd),
}

/// Arguments of `collector silence add`.
#[derive(Debug, Clone, Args)]
pub struct SilenceAdd {
    /// Only of this rule of the config
    #[arg(long, value_name = "NAME")]
    pub rule: Option<String>,
    /// Only of clients whose id matches: * stands for any text, ? for one character
    #[arg(long, value_name = "GLOB", value_parser = client_glob)]
    pub client: Option<String>,
    /// Only of NICs whose name matches
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    pub nic: Option<String>,
    /// Only of clients with this tag
    #[arg(long, value_name = "KEY=VALUE", value_parser = tag)]
    pub tag: Option<Tag>,
    /// When it begins: RFC 3339, or seconds since 1970; default: now
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<Time>,
    /// When it ends
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "length",
          required_unless_present = "length")]
    pub until: Option<Time>,
    /// How long it lasts: 1 s to 30 d
    #[arg(long = "for", value_name = "TIME", value_parser = length)]
    pub length: Option<Interval>,
    /// Why, for the others: it is listed and in the history of alerts
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub reason: String,
}

/// Arguments of `collector silence end`.
#[derive(Debug, Clone, Args)]
pub struct SilenceEnd {
    /// Its id from `collector silence list`, or the beginning of it
    pub id: String,
}

impl SilenceAdd {
    /// The silence, made at a time, nanoseconds since 1970 (UTC).
    ///
    /// # Errors
    /// It is too long, or over already.
    pub fn silence(&self, id: String, by: String, now_ns: WallNs) -> Result<AlertSilence, String> {
        let from_ns = self.from.map_or(now_ns, |it| it.0);
        let length = self.length.map(|it| u64::try_from(it.0.as_nanos()).unwrap_or(u64::MAX));
        let end = length.map(|length| from_ns.saturating_add(length));
        let until_ns = end.or_else(|| self.until.map(|it| it.0)).unwrap_or(from_ns);
        if until_ns <= from_ns.max(now_ns) {
            return Err("it would be over before it begins; give a later --until".to_owned());
        }
        if u128::from(until_ns.saturating_since(from_ns)) > SILENCE_MAX.as_nanos() {
            let most = Interval(SILENCE_MAX);
            return Err(format!(
                "it may last up to {most}; take the rule out of the config instead"
            ));
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Ok(AlertSilence {
            id,
            rule: text(&self.rule),
            client: text(&self.client),
            nic: text(&self.nic),
            tag: self.tag.as_ref().map(Tag::to_string).unwrap_or_default(),
            from_ns,
            until_ns,
            by,
            reason: self.reason.clone(),
        })
    }
}

fn glob(text: &str) -> Result<String, String> {
    compiled_glob(text).map(|_| text.to_owned())
}

/// Client ids are lower case.
fn client_glob(text: &str) -> Result<String, String> {
    glob(&text.to_ascii_lowercase())
}

fn tag(text: &str) -> Result<Tag, String> {
    text.parse().map_err(|error: TagError| error.in_full().to_string())
}

fn length(text: &str) -> Result<Interval, String> {
    let length: Interval =
        text.parse().map_err(|error: InvalidInterval| error.in_full().to_string())?;
    let range = Interval::secs(1)..=Interval(SILENCE_MAX);
    if range.contains(&length) {
        Ok(length)
    } else {
        Err(format!("a silence lasts {} to {}", range.start(), range.end()))
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, FromArgMatches};

    use super::*;

    const NOW: WallNs = WallNs(1_800_000_000_000_000_000);

    fn made(args: &[&str]) -> Result<AlertSilence, String> {
        let args = [&["add", "--reason", "works"], args].concat();
        let command = SilenceAdd::augment_args(Command::new("add"));
        let found = command.try_get_matches_from(args).map_err(|error| error.to_string())?;
        let args = SilenceAdd::from_arg_matches(&found).map_err(|error| error.to_string())?;
        args.silence("ab".into(), "me".into(), NOW)
    }

    #[test]
    fn a_silence_lasts_from_now_for_a_while_or_from_one_time_to_another() {
        let silence = made(&["--for", "2h", "--client", "Web-*", "--tag", "site=ams"]).unwrap();
        assert_eq!((silence.from_ns, silence.until_ns), (NOW, NOW + 7200 * 1_000_000_000));
        assert_eq!((silence.client.as_str(), silence.tag.as_str()), ("web-*", "site=ams"));
        let later = made(&["--from", "1800000100", "--until", "1800000160.5", "--nic", "eth?"]);
        let later = later.unwrap();
        assert_eq!(later.from_ns, NOW + 100 * 1_000_000_000);
        assert_eq!(later.until_ns, NOW + 160_500_000_000);
    }

    #[test]
    fn what_is_no_silence_is_refused_with_the_way_out() {
        for (args, why) in [
            (vec![], "--until <TIME>"),
            (vec!["--for", "31d"], "a silence lasts 1s to 30d"),
            (vec!["--for", "1h", "--until", "1800000160"], "cannot be used with"),
            (vec!["--until", "1799999999"], "give a later --until"),
            (vec!["--until", "1803000000"], "it may last up to 30d"),
            (vec!["--for", "1h", "--client", "["], "is no pattern"),
            (vec!["--for", "1h", "--tag", "ams"], "site=ams"),
        ] {
            let error = made(&args).unwrap_err();
            assert!(error.contains(why), "{args:?}: {error}");
        }
    }
}
