//! What is JSON, and what lies in it, against serde_json.
//!
//! Input: a text.
#![no_main]

use dragoman::json::{self, Object, RawValue, Str, Type};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &[u8]| {
    let expected = serde_json::from_slice::<&serde_json::value::RawValue>(text);
    let Ok(value) = json::parse(text) else {
        return assert!(expected.is_err(), "it is JSON");
    };
    assert_eq!(value.get(), expected.expect("it is no JSON").get());
    let object = Object::parse(text);
    assert_eq!(object.is_ok(), json::type_of(value) == Type::Object);
    if let Ok(object) = object {
        let of = Object::of(value).expect("it is an object");
        let pairs = |object: &Object<'_>| -> Vec<_> {
            object.iter().map(|(key, value)| (key.to_owned(), value.get().to_owned())).collect()
        };
        assert_eq!(pairs(&object), pairs(&of));
        let is_ambiguous = object.repeated(|_| true).is_some();
        assert!(is_ambiguous || object.iter().all(|(key, value)| object.depth(key) == Some(depth(value))));
    }
    if let Ok(expected) = serde_json::from_slice::<Value>(text) {
        assert_eq!(tree(value), expected);
    }
});

fn leaf(value: &RawValue) -> Value {
    match Str::new(value) {
        Some(text) => Value::String(text.decode().into_owned()),
        None => serde_json::from_str(value.get()).expect("what lies in JSON is JSON"),
    }
}

/// The value by its slices.
fn tree(value: &RawValue) -> Value {
    match json::type_of(value) {
        Type::Array => json::elements(value).expect("it is an array").into_iter().map(tree).collect(),
        Type::Object => {
            Value::Object(value.pairs().map(|(key, value)| (key.decode().into_owned(), tree(value))).collect())
        }
        _ => leaf(value),
    }
}

/// How deep brackets are nested, those with nothing between them not counted.
fn depth(value: &RawValue) -> usize {
    let (mut brackets, mut in_string, mut after_backslash) = (String::new(), false, false);
    for char in value.get().chars() {
        match char {
            _ if std::mem::take(&mut after_backslash) => {}
            '\\' => after_backslash = true,
            '"' => {
                in_string = !in_string;
                brackets.push('.');
            }
            ' ' | '\n' | '\r' | '\t' => {}
            char if !in_string => brackets.push(char),
            _ => {}
        }
    }
    let brackets = brackets.replace("{}", ".").replace("[]", ".");
    let levels = brackets.chars().scan(0_usize, |level, char| {
        match char {
            '{' | '[' => *level += 1,
            '}' | ']' => *level -= 1,
            _ => {}
        }
        Some(*level)
    });
    levels.max().unwrap_or(0)
}
