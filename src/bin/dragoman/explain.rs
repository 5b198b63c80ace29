//! Why a request would go where it would go, and the very bytes that each target would receive.
//!
//! The same decision as the gateway's, with nobody's health known.

use std::time::Duration;

use dragoman::attempt::Attempt;
use dragoman::chat::ChatRequest;
use dragoman::config::registry::Date;
use dragoman::endpoint::{self, Service};
use dragoman::headers::Headers;
use dragoman::route::health::Health;
use dragoman::route::{Answered, Explain, Moment, Plan, Router, Wishes};

use crate::Failure;

/// The endpoint that a body is read for.
const PATH: &str = "/v1/chat/completions";

/// The client's headers as they are written on the command line: `NAME: VALUE`.
pub fn headers(lines: &[String]) -> Result<Headers, Failure> {
    let mut headers = Headers::default();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            return Err(Failure::Other(format!("--header {line:?}: expected NAME: VALUE")));
        };
        headers.push(&name.trim().to_ascii_lowercase(), value.trim());
    }
    Ok(headers)
}

pub fn explain(router: &Router, body: &[u8], headers: &Headers, today: Date) -> Result<String, Failure> {
    let Ok(Service::Chat(endpoint)) = endpoint::find("POST", PATH) else {
        return Err(Failure::Other(format!("nothing is served at {PATH}")));
    };
    let refused = |error: dragoman::error::ErrorReply| {
        let body = endpoint.error(&error, &[]);
        Failure::Other(format!("the client would be told, with status {}:\n{}", error.status, text(&body)))
    };
    let read = || -> Result<(Wishes, ChatRequest<'_>), dragoman::error::Rejection> {
        Ok((Wishes::read(headers, router.sticky_headers())?, endpoint.parse(body)?))
    };
    let (wishes, chat) = read().map_err(|no| refused(no.reply()))?;
    let moment =
        Moment { now: Duration::from_secs(u64::from(today.0) * 86_400), seed: 1, health: &|_, _| Health::default() };
    let decide = |explain| router.decide(&chat, endpoint.path(), &Wishes { explain, ..wishes.clone() }, &moment);
    let mut out = String::new();
    if let Answered::Explained(explanation) = decide(Explain::Only).map_err(refused)? {
        out.push_str(&text(&explanation.to_json()));
        out.push('\n');
    }
    if let Answered::Planned(plan) = decide(Explain::No).map_err(refused)? {
        for index in 0..plan.candidates.len() {
            out.push_str(&attempt(&plan, index, body)?);
        }
    }
    Ok(out)
}

/// A target's request as it would be on the wire, without the credential, which only Envoy knows.
fn attempt(plan: &Plan, index: usize, body: &[u8]) -> Result<String, Failure> {
    let attempt = Attempt::new(plan, index).ok_or_else(|| Failure::Other("the plan has no such target".to_owned()))?;
    let written = match attempt.edits() {
        Some(edits) => edits.apply(body),
        None => attempt.body(body).map_err(|no| Failure::Other(no.message))?,
    };
    let headers = attempt.headers(written.len());
    let pseudo = |name| headers.get(name).unwrap_or_default();
    let target = attempt.target();
    let mut out = format!("\n# attempt {}: {} at {}\n", index + 1, target.model, target.provider);
    let (method, scheme, authority, path) =
        (pseudo(":method"), pseudo(":scheme"), pseudo(":authority"), pseudo(":path"));
    out.push_str(&format!("{method} {scheme}://{authority}{path}\n"));
    for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(':')) {
        out.push_str(&format!("{name}: {}\n", text(value)));
    }
    out.push_str(&format!("\n{}\n", text(&written)));
    Ok(out)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
