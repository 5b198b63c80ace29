//! Takes out of an answer what its model may well say but the strict reader of the tests cannot hold,
//! so that what remains has no excuse.
//!
//! Arguments that are no JSON are the model's own affair. Lone surrogates, numbers beyond a double and
//! deep nesting are valid JSON that is relayed, but `serde_json` builds no tree of them.

use serde_json::{Value, json};

/// Less than what `serde_json` follows: 128 levels.
const MOST_LEVELS: usize = 100;

/// `None` if it is nested too deeply to be read.
pub fn tame(body: &[u8], stream: bool) -> Option<Vec<u8>> {
    let plain = plain(body)?;
    if !stream {
        return Some(whole(&plain));
    }
    let Ok(text) = String::from_utf8(plain) else { return Some(body.to_vec()) };
    let mut out = Vec::new();
    for event in text.split_inclusive("\n\n") {
        match event.strip_prefix("data: ").and_then(|event| event.strip_suffix("\n\n")) {
            Some(data) => {
                out.extend_from_slice(b"data: ");
                out.extend(whole(data.as_bytes()));
                out.extend_from_slice(b"\n\n");
            }
            None => out.extend_from_slice(event.as_bytes()),
        }
    }
    Some(out)
}

fn whole(text: &[u8]) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(text) else { return text.to_vec() };
    for choice in value["choices"].as_array_mut().into_iter().flatten() {
        for part in ["delta", "message"] {
            let calls = choice.get_mut(part).and_then(|part| part.get_mut("tool_calls")).and_then(Value::as_array_mut);
            for call in calls.into_iter().flatten() {
                // They are an object once all fragments are put together.
                let arguments = if call["id"].is_null() { "" } else { "{}" };
                if let Some(function) = call.get_mut("function").and_then(Value::as_object_mut)
                    && function.get("arguments").is_none_or(Value::is_string)
                {
                    function.insert("arguments".to_owned(), arguments.into());
                }
            }
        }
    }
    // Their sum is cut off at the largest number there is.
    let count = |key: &str| value["usage"][key].as_u64().unwrap_or(0);
    if count("prompt_tokens").checked_add(count("completion_tokens")).is_none() {
        value["usage"] = json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0});
    }
    value.to_string().into_bytes()
}

fn plain(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let (mut level, mut at) = (0_usize, 0);
    let mut in_string = false;
    while let Some(&byte) = text.get(at) {
        let mut taken = 1;
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string && is_surrogate(&text[at..]) => {
                out.extend_from_slice(b"\\ufffd");
                at += 6;
                continue;
            }
            b'\\' if in_string => taken = 2,
            _ if in_string => {}
            b'{' | b'[' => level += 1,
            b'}' | b']' => level = level.saturating_sub(1),
            b'0'..=b'9' => {
                taken = text[at..].iter().take_while(|byte| byte.is_ascii_digit() || b".eE+-".contains(byte)).count();
                let number = std::str::from_utf8(&text[at..at + taken]).ok()?;
                if number.parse::<f64>().is_ok_and(f64::is_infinite) {
                    out.push(b'0');
                    at += taken;
                    continue;
                }
            }
            _ => {}
        }
        if level > MOST_LEVELS {
            return None;
        }
        out.extend_from_slice(text.get(at..at + taken).unwrap_or(&text[at..]));
        at += taken;
    }
    Some(out)
}

/// `\ud800` to `\udfff`
fn is_surrogate(text: &[u8]) -> bool {
    matches!(text, [b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', a, b, ..]
        if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
}
