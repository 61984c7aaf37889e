//! Templates of messages: Jinja's syntax, `{{ title }}`. In a body of JSON each value is written as JSON,
//! so a text has its quotes and can't break out.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;
use settings::InFull;

/// Steps that a template may take: far more than any message needs.
const FUEL: u64 = 100_000;

/// Longest text that a template may make, bytes.
const LENGTH_MAX: usize = 64 << 10;

/// A template that was read without errors.
#[derive(Debug, Clone)]
pub struct Template {
    environment: Environment<'static>,
}

const NAME: &str = "message";

impl Template {
    /// A template of plain text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn text(source: &str) -> Result<Self, String> {
        Self::new(source, AutoEscape::None)
    }

    /// A template of JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn json(source: &str) -> Result<Self, String> {
        Self::new(source, AutoEscape::Json)
    }

    fn new(source: &str, escape: AutoEscape) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(move |_| escape.clone());
        environment.set_fuel(Some(FUEL));
        // A misspelt name is an error and not nothing.
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        let added = environment.add_template_owned(NAME, source.to_owned());
        added.map_err(|error| error.in_full().to_string())?;
        Ok(Self { environment })
    }

    /// The text for some facts.
    ///
    /// # Errors
    /// Why there is none.
    pub fn render(&self, facts: &impl Serialize) -> Result<String, String> {
        let template = self.environment.get_template(NAME);
        let text = template.and_then(|template| template.render(Serde(facts)));
        let text = text.map_err(|error| error.in_full().to_string())?;
        if text.len() > LENGTH_MAX {
            return Err(format!("makes {} bytes; {LENGTH_MAX} are allowed", text.len()));
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct MessageFacts {
        title: &'static str,
        nic: Option<&'static str>,
    }

    const HOSTILE: &str = "\"}, {\"x\": \"</script>\u{1b}[31m";

    #[test]
    fn values_in_json_can_not_break_out() {
        let template = Template::json(r#"{"text": {{ title }}, "nic": {{ nic }}}"#).unwrap();
        let text = template.render(&MessageFacts { title: HOSTILE, nic: None }).unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read, serde_json::json!({ "text": HOSTILE, "nic": null }));
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        let template = Template::text("{% if nic %}{{ nic }}: {% endif %}{{ title }}").unwrap();
        assert_eq!(
            template.render(&MessageFacts { title: "a <b>", nic: Some("eth0") }).unwrap(),
            "eth0: a <b>"
        );
        assert_eq!(template.render(&MessageFacts { title: "a", nic: None }).unwrap(), "a");
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert!(Template::text("{{ title").unwrap_err().contains("syntax error"));
        let misspelt = Template::text("{{ titel }}").unwrap();
        assert!(
            misspelt
                .render(&MessageFacts { title: "a", nic: None })
                .unwrap_err()
                .contains("undefined")
        );
        let endless = Template::text(
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ title }}{% endfor %}{% endfor %}",
        );
        assert!(endless.unwrap().render(&MessageFacts { title: "a", nic: None }).is_err());
    }
}
