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
