//! How near the estimate of a prompt's tokens comes to what tokenizers count, before and after a factor has
//! been learnt: the table in docs/routing.md, between its marks.
//!
//! Texts are cut into pieces, each piece a request of its own. Of every text, one half of the pieces is what
//! is learnt from, the other what is measured.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use dragoman::chat::ChatRequest;
use dragoman::route::health::{Health, Measured};
use serde_json::{Value, json};
use tiktoken_rs::CoreBPE;

/// Characters of a piece.
const PIECE: usize = 120;

/// Requests that a factor is learnt from.
const REQUESTS: usize = 300;

/// Bytes of base64, and of the long conversation.
const RANDOM: usize = 4_000;
const LONG: usize = 2_000_000;

struct Sample {
    body: String,
    /// What the tokenizers count.
    counted: [u64; 2],
}

impl Sample {
    fn new(body: String, tokenizers: &[CoreBPE; 2]) -> Self {
        let counted = tokenizers.each_ref().map(|tokenizer| count(&serde_json::from_str(&body).unwrap(), tokenizer));
        Sample { body, counted }
    }

    fn estimate(&self) -> u64 {
        dragoman::tokens::estimate(&ChatRequest::parse(self.body.as_bytes()).unwrap())
    }
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tokenizers = [tiktoken_rs::o200k_base().unwrap(), tiktoken_rs::cl100k_base().unwrap()];
    let mut kinds = corpus(&root.join("corpus"), &tokenizers);
    let all: Vec<&Sample> = kinds.values().flatten().collect();
    let texts: Vec<Value> = all.iter().flat_map(|sample| messages(&sample.body)).collect();
    let mixed: Vec<Sample> = all.iter().map(|sample| Sample { body: sample.body.clone(), ..**sample }).collect();
    let mut out = String::from(
        "| requests of | tokens | in sum | each | learnt | learnt of all | cl100k: each | learnt |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let everything = learnt(&mixed, 0);
    for (name, samples) in &kinds {
        row(&mut out, name, samples, everything);
    }
    row(&mut out, "all of these, mixed", &mixed, everything);
    // One request as long as many models take, most of which is never looked at.
    let mut long = Vec::new();
    let mut length = 0;
    for message in texts.iter().cycle() {
        length += message["content"].as_str().map_or(0, str::len);
        long.push(message.clone());
        if length > LONG {
            break;
        }
    }
    let body = json!({"model": "smart", "messages": long}).to_string();
    kinds.insert("one of 2 MB".to_owned(), vec![Sample::new(body, &tokenizers)]);
    let long = &kinds["one of 2 MB"];
    let counted = long[0].counted[0];
    let error = long[0].estimate() as f64 / counted as f64 - 1.0;
    writeln!(out, "| one of 2 MB, sampled | {counted} | {:+.0} % | | | | | |", error * 100.0).unwrap();
    print!("{out}");

    let document = root.join("../../docs/routing.md");
    let text = fs::read_to_string(&document).unwrap();
    let (before, rest) = text.split_once("<!-- tokens -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- /tokens -->").unwrap();
    fs::write(document, format!("{before}<!-- tokens -->\n{out}<!-- /tokens -->{after}")).unwrap();
}

fn row(out: &mut String, name: &str, samples: &[Sample], everything: f64) {
    let (_, tested) = halves(samples);
    let tokens: u64 = samples.iter().map(|sample| sample.counted[0]).sum();
    let estimated: u64 = samples.iter().map(Sample::estimate).sum();
    let in_sum = (estimated as f64 / tokens as f64 - 1.0) * 100.0;
    write!(out, "| {name} | {tokens} | {in_sum:+.0} % |").unwrap();
    for (tokenizer, factors) in [(0, vec![1.0, learnt(samples, 0), everything]), (1, vec![1.0, learnt(samples, 1)])] {
        for factor in factors {
            write!(out, " {:.0} % |", error(&tested, tokenizer, factor) * 100.0).unwrap();
        }
    }
    out.push('\n');
}

/// The mean error of a request, whichever way.
fn error(samples: &[&Sample], tokenizer: usize, factor: f64) -> f64 {
    let error = |sample: &&Sample| (sample.estimate() as f64 * factor / sample.counted[tokenizer] as f64 - 1.0).abs();
    samples.iter().map(error).sum::<f64>() / samples.len() as f64
}

/// The factor that is learnt from one half, again and again, a request a second.
fn learnt(samples: &[Sample], tokenizer: usize) -> f64 {
    let mut health = Health::default();
    for (second, sample) in halves(samples).0.iter().cycle().take(REQUESTS).enumerate() {
        let measured = Measured {
            first_token: Duration::from_millis(500),
            whole: Duration::from_secs(2),
            estimated_input: sample.estimate(),
            input: Some(sample.counted[tokenizer]),
            cached_input: 0,
            output: 100,
            streamed: true,
        };
        health.learn(&measured, Duration::from_secs(second as u64));
    }
    health.learnt().factor()
}

fn halves(samples: &[Sample]) -> (Vec<&Sample>, Vec<&Sample>) {
    let half = |odd| samples.iter().skip(odd).step_by(2).collect();
    (half(0), half(1))
}

fn corpus(folder: &Path, tokenizers: &[CoreBPE; 2]) -> BTreeMap<String, Vec<Sample>> {
    let mut kinds: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().split('.').next().unwrap().to_owned();
        let samples: Vec<Sample> = match path.extension().unwrap().to_str().unwrap() {
            "jsonl" => text.lines().map(|body| Sample::new(body.to_owned(), tokenizers)).collect(),
            _ => pieces(&text).iter().map(|piece| Sample::new(request(piece), tokenizers)).collect(),
        };
        kinds.entry(name).or_default().extend(samples);
    }
    let samples = pieces(&base64(RANDOM)).iter().map(|piece| Sample::new(request(piece), tokenizers)).collect();
    kinds.insert("base64".to_owned(), samples);
    kinds
}

fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.trim().chars().collect();
    characters.chunks(PIECE).filter(|piece| piece.len() > PIECE / 2).map(|piece| piece.iter().collect()).collect()
}

fn request(text: &str) -> String {
    json!({"model": "smart", "messages": [{"role": "user", "content": text}]}).to_string()
}

fn messages(body: &str) -> Vec<Value> {
    let body: Value = serde_json::from_str(body).unwrap();
    body["messages"].as_array().unwrap().iter().filter(|message| message["content"].is_string()).cloned().collect()
}

/// Bytes that look like any compressed file's, the same in every run.
fn base64(length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 1_u64;
    let mut letter = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(LETTERS[(state >> 58) as usize])
    };
    (0..length).map(|_| letter()).collect()
}

/// The tokens of a request as OpenAI counts them, by the recipe of its cookbook ("How to count tokens with
/// tiktoken"): three for each message and its role, three for the answer's beginning; a tool's names and
/// descriptions with some for the frame of each.
fn count(body: &Value, tokenizer: &CoreBPE) -> u64 {
    let tokens = |text: &str| tokenizer.encode_ordinary(text).len() as u64;
    let text = |value: &Value| value.as_str().map_or(0, tokens);
    let mut total = 3;
    for message in body["messages"].as_array().unwrap() {
        total += 3 + text(&message["role"]) + text(&message["content"]);
        for part in message["content"].as_array().into_iter().flatten() {
            total += text(&part["text"]);
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            total += 3 + text(&call["function"]["name"]) + text(&call["function"]["arguments"]);
        }
    }
    let mut schemas: Vec<&Value> = Vec::new();
    if let Some(tools) = body["tools"].as_array() {
        total += 12;
        for tool in tools.iter().map(|tool| &tool["function"]) {
            total += 7 + text(&tool["name"]) + 1 + text(&tool["description"]);
            schemas.push(&tool["parameters"]);
        }
    }
    schemas.extend(body.pointer("/response_format/json_schema/schema"));
    for schema in schemas {
        total += 3;
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            total += 3 + tokens(name) + 1 + text(&property["type"]) + 1 + text(&property["description"]);
            if let Some(values) = property["enum"].as_array() {
                total = total.saturating_sub(3) + values.iter().map(|value| 3 + text(value)).sum::<u64>();
            }
        }
    }
    total
}
