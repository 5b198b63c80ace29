//! Every golden conversation once more, with Envoy between the client and the provider.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dragoman::provider::Kind;
use serde_json::{Map, Value, json};

use crate::client::{Reply, post};
use crate::support::folders;
use crate::support::golden::{Case, NOW, parse_response};
use crate::upstream::{Given, LAST_CHUNK, Received, Upstream, chunk};
use crate::world::{Session, none, own, shown};

#[tokio::test]
async fn every_golden_conversation_goes_as_recorded_through_envoy() {
    let mut problems = Vec::new();
    let folders = folders::all();
    for group in groups(&folders) {
        let upstream = Upstream::start().await;
        let world = gateway(&group, &upstream);
        for (folder, case) in &group {
            // As it was recorded, and in pieces that end within lines and characters.
            for size in [usize::MAX, 7] {
                upstream.give(case.upstream_response.as_deref().map(|text| given(text, size)).unwrap_or_default());
                let headers = case.headers();
                let mut headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                headers.push(("content-type", "application/json"));
                let request = post(&headers, case.request.clone());
                let reply = crate::client::send(world.envoy.address, request).await;
                let name = folders::name(folder);
                let mut compare = compare(folder, &upstream.received(), &reply);
                problems.extend(compare.drain(..).map(|problem| format!("{name}, pieces of {size}: {problem}")));
            }
        }
    }
    none(problems);
    println!("{} conversations", folders.len());
}

type Group = Vec<(PathBuf, Case)>;

/// Conversations that can share a configuration: where the same name means the same model.
fn groups(folders: &[PathBuf]) -> Vec<Group> {
    let mut groups: Vec<(BTreeMap<String, Value>, Group)> = Vec::new();
    for folder in folders {
        let case = folders::read(folder);
        let (name, entry) = case.model();
        let fits = groups.iter_mut().find(|(models, _)| models.get(&name).is_none_or(|known| *known == entry));
        let (models, group) = match fits {
            Some(group) => group,
            None => {
                groups.push(Default::default());
                groups.last_mut().unwrap()
            }
        };
        models.insert(name, entry);
        group.push((folder.clone(), case));
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn gateway(group: &Group, upstream: &Upstream) -> Session {
    let (mut providers, mut models) = (Map::new(), Map::new());
    for (_, case) in group {
        let kind = Kind::named(case.kind()).unwrap();
        let mut provider = case.provider();
        // The base path is the vendor's own, the rest is here.
        let url = provider["url"].as_str().unwrap_or(kind.url);
        let path = url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
        provider["url"] = format!("http://{}{path}", upstream.address).into();
        providers.insert(case.provider_name(), provider);
        let (name, entry) = case.model();
        models.insert(name, entry);
    }
    // One attempt: a conversation is with one provider, and is not repeated.
    let document = json!({"version": "golden", "providers": providers, "models": models, "limits": {"attempts": 1, "breaker": false}});
    own("golden", |_| document, &[])
}

/// The recorded answer as it travels: a stream in chunks, anything else with its length.
fn given(text: &[u8], size: usize) -> Given {
    let (status, headers, body) = parse_response(text);
    let mut head = format!("HTTP/1.1 {status} Recorded\r\n").into_bytes();
    for (name, value) in headers.iter().filter(|(name, _)| !is_framing(name)) {
        head.extend_from_slice(name.as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value);
        head.extend_from_slice(b"\r\n");
    }
    let pieces = body.chunks(size.min(body.len()).max(1));
    let streams = ["text/event-stream", "application/vnd.amazon.eventstream", "application/x-ndjson"];
    let pieces = if headers.content_type().is_some_and(|label| streams.contains(&label)) {
        head.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        pieces.map(chunk).chain([LAST_CHUNK.to_vec()]).collect()
    } else {
        head.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        pieces.map(<[u8]>::to_vec).collect()
    };
    Given { head, pieces }
}

fn is_framing(name: &str) -> bool {
    matches!(name, "content-length" | "transfer-encoding" | "connection" | "date")
}

fn compare(folder: &Path, received: &[Received], reply: &Reply) -> Vec<String> {
    let mut problems = Vec::new();
    let expected = std::fs::read(folder.join("upstream-request.http")).ok().map(|text| expected_request(&text));
    let actual: Vec<_> = received.iter().map(shape).collect();
    if actual != expected.clone().into_iter().collect::<Vec<_>>() {
        problems.push(format!("the request differs\n--- expected\n{expected:#?}\n--- actual\n{actual:#?}"));
    }

    let (status, headers, body) = parse_response(&std::fs::read(folder.join("response.http")).unwrap());
    let expected_headers =
        known(headers.iter().map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned())));
    let actual_headers = reply
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let mut actual_headers = known(actual_headers);
    // The route stage names the version on what it says itself, too.
    let is_version = |(name, _): &(String, String)| name == "x-dragoman-version";
    if !expected_headers.iter().any(is_version) {
        let told = actual_headers.len();
        actual_headers.retain(|header| !is_version(header));
        assert_eq!(actual_headers.len(), told - 1, "an answer without a version");
    }
    let actual_body = at_golden_time(&String::from_utf8_lossy(&reply.body()));
    if let Some(length) = reply.headers.get("content-length")
        && length.as_bytes() != reply.body().len().to_string().as_bytes()
    {
        problems.push("content-length is not the body's".to_owned());
    }
    let same = reply.status == status && actual_headers == expected_headers && actual_body.as_bytes() == body;
    if !same || reply.broken.is_some() {
        let body = String::from_utf8_lossy(&body);
        problems.push(format!(
            "the answer differs\n--- expected\n{status} {expected_headers:?}\n{body}\n--- actual\n{}",
            shown(reply)
        ));
    }
    problems
}

/// Method and path, headers, body.
type Request = (String, BTreeMap<String, String>, String);

/// A request but for where it goes, which is here.
fn shape(received: &Received) -> Request {
    let headers = received.headers.iter().filter(|(name, _)| name != "host").cloned().collect::<Vec<_>>();
    let count = headers.len();
    let headers: BTreeMap<_, _> = headers.into_iter().collect();
    assert_eq!(headers.len(), count, "a header came twice: {received:?}");
    (received.line.clone(), headers, String::from_utf8_lossy(&received.body).into_owned())
}

fn expected_request(text: &[u8]) -> Request {
    let text = String::from_utf8_lossy(text);
    let (head, body) = text.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let (method, url) = lines.next().unwrap().split_once(' ').unwrap();
    let path = url.splitn(4, '/').nth(3).unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (format!("{method} /{path}"), headers, body.to_owned())
}

/// The headers that the files have an opinion on.
fn known<'a>(headers: impl Iterator<Item = (&'a str, String)>) -> Vec<(String, String)> {
    let headers = headers.filter(|(name, _)| !is_framing(name) && !matches!(*name, "x-request-id"));
    let mut headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value)).collect();
    headers.sort();
    headers
}

/// Puts the time of the golden files in place of ours: as a number of seconds, and of nanoseconds in hex.
fn at_golden_time(text: &str) -> String {
    const DAY: u64 = 24 * 3600;
    let mut out = String::with_capacity(text.len());
    let now = now();
    for word in text.split_inclusive(|c: char| !c.is_ascii_hexdigit()) {
        let digits = word.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
        let rest = &word[digits.len()..];
        let seconds = digits.parse::<u64>().ok().filter(|seconds| digits.len() == 10 && now.abs_diff(*seconds) < DAY);
        let nanos = u64::from_str_radix(digits, 16).ok().map(|nanos| nanos / 1_000_000_000);
        let nanos = nanos.filter(|seconds| digits.len() == 16 && now.abs_diff(*seconds) < DAY);
        match (seconds, nanos) {
            (Some(_), _) => out.push_str(&NOW.as_secs().to_string()),
            (None, Some(_)) => out.push_str(&format!("{:x}", NOW.as_nanos())),
            (None, None) => out.push_str(digits),
        }
        out.push_str(rest);
    }
    out
}

#[expect(clippy::disallowed_methods, reason = "Envoy's clock is this machine's")]
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
