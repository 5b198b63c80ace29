//! The faults that can be asked for: one table of names, and the text that picks from it.
//!
//! The same text stands behind a model's `?` and in the body of `PUT /faults/<provider>`. This file says
//! what may be asked of every fake, the fakes what of them alone; what each fault does is written where it
//! happens (`exchange`, `framing`, `script` and the providers' renderers).

use std::fmt;

use serde_json::{Map, Value, json};

#[derive(Clone, Copy)]
pub enum Form {
    Flag,
    Number,
    /// An HTTP status.
    Status,
    /// A name that the provider's renderer looks up; any is allowed, new ones appear all the time.
    Name,
    OneOf(&'static [&'static str]),
}

pub struct Row {
    name: &'static str,
    form: Form,
}

pub const fn row(name: &'static str, form: Form) -> Row {
    Row { name, form }
}

const FAULTS: &[Row] = &[
    // Instead of an answer.
    row("status", Form::Status),
    row("error", Form::Name),
    row("retry_after", Form::Number),
    row("error_in_200", Form::Flag),
    row("empty_body", Form::Flag),
    row("html", Form::Flag),
    row("html_status", Form::Status),
    row("garbage", Form::Flag),
    row("reset", Form::Flag),
    row("silent", Form::Flag),
    row("headers_then_silence", Form::Flag),
    row("pings_then_silence", Form::Flag),
    row("empty_stream", Form::Flag),
    row("no_content", Form::Flag),
    row("json_for_stream", Form::Flag),
    row("stream_for_json", Form::Flag),
    // What is left of a rate limit, which the headers tell.
    row("limit_requests", Form::Number),
    row("limit_tokens", Form::Number),
    row("limit_window_s", Form::Number),
    // When.
    row("delay_ms", Form::Number),
    row("first_token_ms", Form::Number),
    row("pace_ms", Form::Number),
    row("times", Form::Number),
    // In the middle of an answer.
    row("error_in_stream", Form::Flag),
    row("error_after", Form::Number),
    row("cut_after", Form::Number),
    row("end_after", Form::Number),
    row("stall_after", Form::Number),
    // The answer's bytes.
    row("truncate_json", Form::Flag),
    row("gzip_header", Form::Flag),
    row("bad_header", Form::Flag),
    row("trailers", Form::Flag),
    row("split", Form::Number),
    // The grammar of the stream.
    row("finish_twice", Form::Flag),
    row("no_finish", Form::Flag),
];

/// Of server-sent events: how they are written.
pub const SERVER_SENT: &[Row] =
    &[row("crlf", Form::Flag), row("cr", Form::Flag), row("no_space", Form::Flag), row("bom", Form::Flag)];

/// What may be asked of one fake: the faults of all, and those of its format.
#[derive(Clone, Copy)]
pub struct Vocabulary {
    pub provider: &'static str,
    pub own: &'static [&'static [Row]],
}

impl Vocabulary {
    fn rows(&self) -> impl Iterator<Item = &'static Row> {
        FAULTS.iter().chain(self.own.iter().copied().flatten())
    }

    /// `status=503&retry_after=1`, every name and value checked: a typo in a test must not look like a
    /// healthy provider.
    pub fn parse(&self, text: &str) -> Result<Faults, Unknown> {
        let mut faults = Vec::new();
        for part in text.trim().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let unknown = || Unknown { part: part.to_owned(), vocabulary: *self };
            let row = self.rows().find(|row| row.name == name).ok_or_else(unknown)?;
            let valid = match row.form {
                Form::Flag => value.is_empty() || value == "1",
                Form::Number => value.parse::<u64>().is_ok(),
                Form::Status => value.parse().is_ok_and(|status| (200..=599_u16).contains(&status)),
                Form::Name => !value.is_empty(),
                Form::OneOf(words) => words.contains(&value),
            };
            if !valid {
                return Err(unknown());
            }
            faults.push((row.name, value.to_owned()));
        }
        Ok(Faults(faults))
    }

    /// The form of each fault's value, by the fault's name.
    pub fn listed(&self) -> Value {
        let rows = self.rows().map(|row| {
            let form = match row.form {
                Form::Flag => json!("flag"),
                Form::Number => json!("number"),
                Form::Status => json!("status"),
                Form::Name => json!("name"),
                Form::OneOf(words) => json!(words),
            };
            (row.name.to_owned(), form)
        });
        Value::Object(rows.collect::<Map<_, _>>())
    }
}

#[derive(Clone, Debug, Default)]
pub struct Faults(Vec<(&'static str, String)>);

impl Faults {
    pub fn has(&self, name: &str) -> bool {
        self.word(name).is_some()
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.word(name)?.parse().ok()
    }

    pub fn word(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(fault, _)| *fault == name).map(|(_, value)| value.as_str())
    }

    pub fn is(&self, name: &str, value: &str) -> bool {
        self.word(name) == Some(value)
    }

    /// Whether an answer is whole and says what it always does: only its timing and its limits are others.
    pub fn change_nothing(&self) -> bool {
        const HARMLESS: &[&str] = &["delay_ms", "first_token_ms", "pace_ms", "split", "times"];
        self.0.iter().all(|(fault, _)| HARMLESS.contains(fault) || fault.starts_with("limit_"))
    }

    /// Both, and `closer` wins where they say different things.
    pub fn and(mut self, closer: Self) -> Self {
        self.0.extend(closer.0);
        self
    }
}

pub struct Unknown {
    part: String,
    vocabulary: Vocabulary,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.vocabulary.rows().map(|row| match row.form {
            Form::Flag => row.name.to_owned(),
            Form::Number => format!("{}=N", row.name),
            Form::Status => format!("{}=200..599", row.name),
            Form::Name => format!("{}=NAME", row.name),
            Form::OneOf(words) => format!("{}={}", row.name, words.join("|")),
        });
        let known = known.collect::<Vec<_>>().join(", ");
        write!(f, "`{}` is no fault of the {} fake; known: {known}", self.part, self.vocabulary.provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Vocabulary =
        Vocabulary { provider: "own", own: &[SERVER_SENT, &[row("done", Form::OneOf(&["missing", "twice"]))]] };
    const NONE: Vocabulary = Vocabulary { provider: "none", own: &[] };

    fn parse(text: &str) -> Faults {
        OWN.parse(text).ok().unwrap()
    }

    #[test]
    fn known_faults_compose() {
        let faults = parse("status=503&retry_after=1&crlf&done=twice\n");
        assert_eq!(faults.number("status"), Some(503));
        assert!(faults.has("crlf") && faults.is("done", "twice") && !faults.has("cr"));
        let both = faults.and(parse("status=500"));
        assert_eq!((both.number("status"), both.number("retry_after")), (Some(500), Some(1)));
    }

    #[test]
    fn typo_is_refused_with_what_is_known() {
        for text in ["stauts=503", "status", "status=abc", "status=99", "cut_after=", "crlf=2", "done=never", "error="]
        {
            let problem = OWN.parse(text).err().unwrap().to_string();
            assert!(problem.contains("status=200..599"), "{text}: {problem}");
        }
        assert!(NONE.parse("done=twice").is_err() && NONE.parse("crlf").is_err());
    }

    #[test]
    fn known_faults_are_those_of_the_provider() {
        let (own, none) = (OWN.listed(), NONE.listed());
        assert_eq!((&own["crlf"], &none["crlf"]), (&json!("flag"), &Value::Null));
        assert_eq!(own["done"], json!(["missing", "twice"]));
    }
}
