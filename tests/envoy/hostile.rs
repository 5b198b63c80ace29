//! Ten thousand bodies that nobody should send: each gets an answer, and none a failure of ours.

use std::collections::BTreeMap;

use serde_json::json;

use crate::client::{Connection, Reply, post};
use crate::support::random::Random;
use crate::world::{Session, none, own, shared, shown, together};

const BODIES: u64 = 10_000;
const CONNECTIONS: u64 = 16;

/// A valid request with most of what a request can have.
fn valid(model: &str, random: &mut Random) -> String {
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Köln\"}"}});
    let mut body = json!({
        "model": model,
        "max_completion_tokens": 100,
        "messages": [
            {"role": "system", "content": "You are terse. \u{1f642} \"quoted\" \\ \n"},
            {"role": "user", "content": [{"type": "text", "text": "hello"}]},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
            {"role": "user", "content": "and tomorrow?"},
        ],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}],
        "tool_choice": random.one_of(&["auto", "none", "required"]),
        "temperature": 0.5,
        "stop": ["END"],
    });
    if random.below(2) == 0 {
        body["stream"] = json!(true);
    }
    body.to_string()
}

/// What in a JSON text may be a value.
const VALUES: &[&str] = &[
    "null",
    "true",
    "-0",
    "1e400",
    "-1e-400",
    "123456789012345678901234567890",
    "0.1e+5",
    "18446744073709551616",
    "[]",
    "{}",
    "\"\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "[[[[]]]]",
    "{\"a\":{\"a\":{}}}",
    "\"openai\"",
    "[null]",
    "NaN",
    "01",
    "+1",
    "'a'",
    "\"\\x\"",
    "\"\t\"",
];

const NAMES: &[&str] = &[
    "model",
    "messages",
    "stream",
    "role",
    "content",
    "tools",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "type",
    "text",
    "stop",
    "temperature",
    "max_completion_tokens",
    "tool_choice",
    "stream_options",
    "response_format",
    "image_url",
    "url",
    "tool_call_id",
    "parameters",
    "id",
    "n",
    "seed",
];

fn hostile(model: &str, random: &mut Random) -> Vec<u8> {
    let mut body = valid(model, random).into_bytes();
    match random.below(12) {
        0 => {
            let length = random.below(2000);
            (0..length).map(|_| random.next() as u8).collect()
        }
        1 => {
            body.truncate(random.below(body.len()));
            body
        }
        2 => {
            let depth = [10, 100, 127, 128, 129, 1_000, 100_000][random.below(7)];
            let (open, close) = if random.below(2) == 0 { ("[", "]") } else { ("{\"a\":", "}") };
            let value =
                format!("{}1{}", open.repeat(depth), close.repeat(if random.below(4) == 0 { 0 } else { depth }));
            let name = random.one_of(NAMES);
            format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}],"x-{name}":{value}}}"#).into()
        }
        3 => {
            // The same, where it matters.
            let depth = [10, 100, 127, 1_000, 50_000][random.below(5)];
            let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
            format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":{value}}}],"tools":{value}}}"#).into()
        }
        4 => {
            let flips = 1 + random.below(4);
            for _ in 0..flips {
                let at = random.below(body.len());
                body[at] ^= 1 << random.below(8);
            }
            body
        }
        5 => {
            let at = random.below(body.len());
            body[at] = [0, 0xff, 0xc0, 0x80, b'"', b'\\', b'{', b'}', b'[', b']', b',', b':'][random.below(12)];
            body
        }
        6 => {
            let at = random.below(body.len());
            let bytes =
                [&b"\0"[..], b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3", b"\xef\xbb\xbf", b"\r\n\r\n", b"\"}]}"];
            body.splice(at..at, bytes[random.below(bytes.len())].iter().copied());
            body
        }
        // A value that does not belong where it is.
        7 | 8 => replaced(&body, random.one_of(NAMES), random.one_of(VALUES)),
        9 => {
            let name = random.one_of(&["model", "messages", "stream", "temperature", "max_completion_tokens", "tools"]);
            let value = random.one_of(VALUES);
            body.splice(1..1, format!("\"{name}\":{value},").into_bytes());
            body
        }
        10 => {
            let from = random.below(body.len());
            let length = random.below(body.len() - from).min(200);
            let piece = body[from..from + length].to_vec();
            let at = random.below(body.len());
            body.splice(at..at, piece);
            body
        }
        _ => {
            let mut other = valid("openai", random).into_bytes();
            other.truncate(random.below(other.len()));
            other.extend_from_slice(&body[random.below(body.len())..]);
            other
        }
    }
}

/// The text with another value behind the name, up to the next comma.
fn replaced(body: &[u8], name: &str, value: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(body).into_owned();
    let quoted = format!("\"{name}\":");
    let Some(at) = text.find(&quoted) else { return format!("{{{quoted}{value}}}").into() };
    let from = at + quoted.len();
    let to = text[from..].find([',', '}', ']']).map_or(text.len(), |length| from + length);
    format!("{}{value}{}", &text[..from], &text[to..]).into()
}

/// What is wrong with the answer, if anything is.
fn problem(reply: &Reply) -> Option<String> {
    if let Err(problem) = reply.well_formed() {
        return Some(problem);
    }
    let fine = match reply.status {
        200 => reply.headers.contains_key("x-dragoman-model"),
        status => (400..500).contains(&status),
    };
    (!fine).then(|| "neither an answer nor the client's fault".to_owned())
}

async fn some(world: Session, seed: u64, count: u64) -> (BTreeMap<u16, u64>, Vec<String>) {
    let mut random = Random(seed);
    let mut connection = Connection::open(world.envoy.address).await;
    let (mut statuses, mut problems) = (BTreeMap::new(), Vec::new());
    for number in 0..count {
        let model = ["openai", "anthropic", "both:openai", "both:anthropic"][(number % 4) as usize];
        let body = hostile(model, &mut random);
        let reply = loop {
            match connection.send(post(&[("content-type", "application/json")], body.clone())).await {
                Ok(reply) => break reply,
                // Envoy may close a connection after an error.
                Err(error) if error.is_closed() || error.is_canceled() => {
                    connection = Connection::open(world.envoy.address).await;
                }
                Err(error) => panic!("no answer: {error}; sent {:?}", String::from_utf8_lossy(&body)),
            }
        };
        *statuses.entry(reply.status).or_default() += 1;
        if let Some(problem) = problem(&reply) {
            let sent = body.get(..1500).unwrap_or(&body);
            problems.push(format!("{problem}: sent {:?}\n{}", String::from_utf8_lossy(sent), shown(&reply)));
        }
    }
    (statuses, problems)
}

#[tokio::test]
async fn ten_thousand_hostile_bodies_get_an_answer_each_and_none_a_failure_of_ours() {
    // Records of all of these would make the fakes slow for other tests.
    let world = own(
        "hostile",
        |mut document| {
            document.model("openai", "openai", "", None);
            document.model("anthropic", "anthropic", "", None);
            document.route("both:openai", &["openai", "anthropic"], "first_token");
            document.route("both:anthropic", &["anthropic", "openai"], "complete");
            document.finish(json!({}))
        },
        &[],
    );
    let tasks = (0..CONNECTIONS).map(|seed| some(world.clone(), seed, BODIES / CONNECTIONS));
    let (mut statuses, mut problems) = (BTreeMap::<u16, u64>::new(), Vec::new());
    for (some, found) in together(tasks).await {
        some.into_iter().for_each(|(status, count)| *statuses.entry(status).or_default() += count);
        problems.extend(found);
    }
    println!("answers by status: {statuses:?}");
    let count = problems.len();
    problems.truncate(5);
    assert_eq!(statuses.values().sum::<u64>(), BODIES);
    none(problems.into_iter().map(|problem| format!("(of {count}) {problem}")).collect());
    assert!(statuses.get(&200).is_some_and(|count| *count > 100), "{statuses:?}");
}

#[tokio::test]
async fn a_repeated_name_that_decides_something_is_a_400() {
    let world = shared();
    for model in ["openai", "anthropic"] {
        let messages = r#""messages":[{"role":"user","content":"hi"}]"#;
        for body in [
            format!(r#"{{"model":"{model}","model":"{model}",{messages}}}"#),
            format!(r#"{{"model":"{model}",{messages},"model":"both:openai"}}"#),
            format!(r#"{{"model":"{model}",{messages},{messages}}}"#),
            format!(r#"{{"model":"{model}","stream":false,{messages},"stream":true}}"#),
            format!(r#"{{"model":"{model}",{messages},"\u006dodel":"both:openai"}}"#),
        ] {
            let mut connection = Connection::open(world.envoy.address).await;
            let reply = connection.send(post(&[("content-type", "application/json")], body.clone())).await.unwrap();
            assert_eq!(reply.status, 400, "{body}: {}", shown(&reply));
            reply.error();
        }
    }
}
