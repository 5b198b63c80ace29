//! JSON schemas, reduced to what a provider can hold a model to: its [`Dialect`].
//!
//! What is not supported is not lost: it moves into the schema's description, where the model reads
//! it. A schema that asks for nothing of that sort stays as it is, byte for byte.

use std::borrow::Cow;

use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Str, Type, Writer};

/// What a provider takes of JSON Schema.
pub struct Dialect {
    /// Whether it takes a keyword with this value. `oneOf` is not asked about: it becomes `anyOf`.
    pub takes: fn(&str, &RawValue) -> bool,
    /// Whether every object has to say that it has no further properties.
    pub closes: bool,
}

/// What Claude is held to, and every model at Bedrock (Anthropic, JSON schema limitations; Bedrock user guide,
/// structured outputs). Which patterns are simple enough cannot be told: none goes, as with Anthropic's own SDK
/// (anthropic-sdk-python `lib/_parse/_transform.py`).
pub const CLOSED: Dialect = Dialect {
    takes: |key, value| match key {
        "minItems" => matches!(value.get(), "0" | "1"),
        "pattern" => false,
        "format" => FORMATS.contains(&value.get().trim_matches('"')),
        _ => is_common(key, value),
    },
    closes: true,
};

const FORMATS: &[&str] = &["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// Keywords that a grammar for decoding hardly ever knows.
const SELDOM_TAKEN: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "prefixItems",
    "additionalItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedItems",
    "unevaluatedProperties",
    "if",
    "then",
    "else",
    "not",
];

/// Whether a keyword is one of those that most dialects have.
pub fn is_common(key: &str, value: &RawValue) -> bool {
    match key {
        // As a list it is an older name of `prefixItems`.
        "items" => json::type_of(value) != Type::Array,
        _ => !SELDOM_TAKEN.contains(&key),
    }
}

/// Every level is scanned once more by the one below, so that the depth bounds the work. OpenAI's own
/// limit is 10 levels of objects (structured outputs, supported schemas); arrays and unions count here, too.
const MAX_DEPTH: usize = 32;
const TOO_DEEP: &str = "the schema is nested more than 32 levels deep";

const OPEN_OBJECT: &str =
    "With this model an object must name its properties: 'additionalProperties' alone are not supported.";

pub const NOT_AN_OBJECT: &str = "it is not an object";

/// The schema as a provider takes it. `at` is its place in the client's request.
pub fn reduce<'a>(schema: &'a RawValue, dialect: &Dialect, at: &str) -> Result<Cow<'a, str>, Rejection> {
    let mut reduced = Reduction { dialect, out: Writer::with_capacity(schema.get().len() + 64), changed: false };
    reduced.schema(schema, 0).map_err(|problem| match problem {
        OPEN_OBJECT => Rejection::unsupported(at, problem),
        _ => Rejection::invalid(at, format!("Invalid '{at}': {problem}.")),
    })?;
    Ok(match String::from_utf8(reduced.out.into_bytes()) {
        Ok(text) if reduced.changed => Cow::Owned(text),
        _ => Cow::Borrowed(schema.get()),
    })
}

struct Reduction<'d> {
    dialect: &'d Dialect,
    out: Writer,
    changed: bool,
}

impl Reduction<'_> {
    fn schema(&mut self, schema: &RawValue, depth: usize) -> Result<(), &'static str> {
        // `true` and `false` are schemas, too.
        if json::type_of(schema) != Type::Object {
            self.out.raw(schema.get());
            return Ok(());
        }
        if depth == MAX_DEPTH {
            return Err(TOO_DEEP);
        }
        let fields = Object::of(schema).ok_or(NOT_AN_OBJECT)?;
        let closes = self.dialect.closes;
        // Closed, a map of names that only the model knows could have nothing in it.
        let further = fields.get("additionalProperties").filter(|further| closes && further.get() != "false");
        let has_properties = || Object::of(fields.get("properties")?).filter(|properties| !properties.is_empty());
        if further.is_some() && has_properties().is_none() {
            return Err(OPEN_OBJECT);
        }
        // There is room for one of them only.
        let has_any_of = fields.get("anyOf").is_some();
        let takes = self.dialect.takes;
        let moves = |key: &str, value: &RawValue| match key {
            "oneOf" => has_any_of,
            "additionalProperties" => closes && json::type_of(value) == Type::Object,
            _ => !takes(key, value),
        };
        let notes = notes(fields.iter().filter(|(key, value)| moves(key, value)));
        self.changed |= !notes.is_empty();
        let mut needs_closing = closes && describes_object(&fields);
        self.out.begin_object();
        for (key, value) in fields.iter() {
            match key {
                _ if moves(key, value) => {}
                "properties" | "$defs" | "definitions" => {
                    self.out.any_key(key);
                    self.schemas_by_name(value, depth + 1)?;
                }
                "items" => {
                    self.out.any_key(key);
                    self.schema(value, depth + 1)?;
                }
                "anyOf" | "allOf" => {
                    self.out.any_key(key);
                    self.schemas(value, depth + 1)?;
                }
                "oneOf" => {
                    self.changed = true;
                    self.out.key("anyOf");
                    self.schemas(value, depth + 1)?;
                }
                "additionalProperties" if closes => {
                    needs_closing = false;
                    self.changed |= value.get() != "false";
                    self.out.any_key(key).raw("false");
                }
                "description" if !notes.is_empty() => {
                    let said = Str::new(value).map_or("", Str::escaped);
                    let gap = if said.is_empty() { "" } else { "\\n\\n" };
                    self.out.any_key(key).escaped(&[said, gap, &notes]);
                }
                _ => {
                    self.out.any_key(key).raw(value.get());
                }
            }
        }
        if needs_closing {
            self.changed = true;
            self.out.key("additionalProperties").raw("false");
        }
        if !notes.is_empty() && fields.get("description").is_none() {
            self.out.key("description").escaped(&[&notes]);
        }
        self.out.end_object();
        Ok(())
    }

    fn schemas_by_name(&mut self, value: &RawValue, depth: usize) -> Result<(), &'static str> {
        let Some(schemas) = Object::of(value) else {
            self.out.raw(value.get());
            return Ok(());
        };
        self.out.begin_object();
        for (name, value) in schemas.iter() {
            self.out.any_key(name);
            self.schema(value, depth)?;
        }
        self.out.end_object();
        Ok(())
    }

    fn schemas(&mut self, value: &RawValue, depth: usize) -> Result<(), &'static str> {
        let Some(schemas) = json::elements(value) else {
            self.out.raw(value.get());
            return Ok(());
        };
        self.out.begin_array();
        for schema in schemas {
            self.schema(schema, depth)?;
        }
        self.out.end_array();
        Ok(())
    }
}

/// A tool's parameters with the root type that some insist on, and otherwise as they are.
pub fn of_parameters<'a>(parameters: Option<&'a RawValue>, at: &str) -> Result<Cow<'a, str>, Rejection> {
    let Some(parameters) = parameters else { return Ok(r#"{"type":"object","properties":{}}"#.into()) };
    let fields =
        Object::of(parameters).ok_or_else(|| Rejection::invalid(at, format!("Invalid '{at}': {NOT_AN_OBJECT}.")))?;
    match fields.get("type").map(RawValue::get) {
        Some("\"object\"") => Ok(parameters.get().into()),
        Some(_) => Err(Rejection::invalid(format!("{at}.type"), "The parameters of a tool must be an object.")),
        None if fields.is_empty() => Ok(r#"{"type":"object"}"#.into()),
        None => Ok(format!(r#"{{"type":"object",{}"#, parameters.get().get(1..).unwrap_or("}")).into()),
    }
}

/// Keywords that a schema loses as a text for its description, escaped: `{minimum: 1}`.
fn notes<'s>(lost: impl Iterator<Item = (&'s str, &'s RawValue)>) -> String {
    let notes: Vec<_> = lost.map(|(key, value)| format!("{key}: {}", value.get())).collect();
    if notes.is_empty() {
        return String::new();
    }
    let escaped = json::escape(&format!("{{{}}}", notes.join(", ")));
    escaped.trim_matches('"').to_owned()
}

fn describes_object(fields: &Object<'_>) -> bool {
    let names_object = |value: &RawValue| match json::type_of(value) {
        Type::Array => json::elements(value).unwrap_or_default().iter().any(|kind| kind.get() == "\"object\""),
        _ => value.get() == "\"object\"",
    };
    fields.get("properties").is_some() || fields.get("type").is_some_and(names_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reduced(schema: &str) -> String {
        reduce(json::parse_str(schema).unwrap(), &CLOSED, "schema").unwrap().into_owned()
    }

    #[test]
    fn a_clean_schema_stays_byte_for_byte() {
        for schema in [
            r#"{ "type" : "object" , "properties" : { "minimum" : {"type":"number","enum":[1.0,1e3]} },
                "required":["minimum"], "additionalProperties" : false }"#,
            r#"{"type":"array","items":{"type":"string","default":{"maxLength":1}},"minItems":1}"#,
            r##"{"$ref":"#/$defs/a","$defs":{"a":{"const":{"type":"object"}},"b":true}}"##,
            "{ }",
        ] {
            assert_eq!(reduced(schema), schema);
        }
    }

    #[test]
    fn every_object_is_closed() {
        assert_eq!(
            reduced(
                r#"{"type":"object","properties":{"a":{"type":["object","null"]},
                "b":{"anyOf":[{"properties":{}}]}}}"#
            ),
            concat!(
                r#"{"type":"object","properties":{"a":{"type":["object","null"],"additionalProperties":false},"#,
                r#""b":{"anyOf":[{"properties":{},"additionalProperties":false}]}},"additionalProperties":false}"#
            )
        );
    }

    #[test]
    fn further_properties_are_told_beside_others_and_refused_alone() {
        assert_eq!(
            reduced(r#"{"properties":{"a":{}},"additionalProperties":true}"#),
            r#"{"properties":{"a":{}},"additionalProperties":false}"#
        );
        assert_eq!(
            reduced(r#"{"additionalProperties":{"type":"string"},"properties":{"a":{}}}"#),
            concat!(
                r#"{"properties":{"a":{}},"additionalProperties":false,"#,
                r#""description":"{additionalProperties: {\"type\":\"string\"}}"}"#
            )
        );
        for map in [
            r#"{"type":"object","additionalProperties":{"type":"string"}}"#,
            r#"{"items":{"type":"object","properties":{},"additionalProperties":true}}"#,
        ] {
            let refused = reduce(json::parse_str(map).unwrap(), &CLOSED, "x.schema").unwrap_err();
            assert_eq!((refused.code, refused.param.as_deref()), ("unsupported_parameter", Some("x.schema")));
        }
    }

    #[test]
    fn what_is_not_supported_moves_into_the_description_in_its_order() {
        assert_eq!(
            reduced(r#"{"type":"integer","maximum":10,"description":"An \"age\"","minimum":1.0}"#),
            r#"{"type":"integer","description":"An \"age\"\n\n{maximum: 10, minimum: 1.0}"}"#
        );
        assert_eq!(
            reduced(r#"{"items":[{"type":"string"}],"minItems":2,"type":"array"}"#),
            r#"{"type":"array","description":"{items: [{\"type\":\"string\"}], minItems: 2}"}"#
        );
        assert_eq!(
            reduced(r#"{"type":"string","pattern":"^(?!a)","format":"password"}"#),
            r#"{"type":"string","description":"{pattern: \"^(?!a)\", format: \"password\"}"}"#
        );
        let date = r#"{"type":"string","format":"date"}"#;
        assert_eq!(reduced(date), date);
        assert_eq!(
            reduced(r#"{"description":"","not":{"const":"x\n\""}}"#),
            r#"{"description":"{not: {\"const\":\"x\\n\\\"\"}}"}"#
        );
    }

    #[test]
    fn one_of_becomes_any_of_unless_that_is_taken() {
        assert_eq!(
            reduced(r#"{"oneOf":[{"type":"string","maxLength":3},{"type":"null"}]}"#),
            r#"{"anyOf":[{"type":"string","description":"{maxLength: 3}"},{"type":"null"}]}"#
        );
        assert_eq!(
            reduced(r#"{"anyOf":[{"type":"null"}],"oneOf":[1]}"#),
            r#"{"anyOf":[{"type":"null"}],"description":"{oneOf: [1]}"}"#
        );
    }

    #[test]
    fn objects_stay_open_where_nobody_asks_for_more() {
        let open = Dialect { closes: false, ..CLOSED };
        let schema = r#"{"type":"object","properties":{"a":{"additionalProperties":true}}}"#;
        assert_eq!(reduce(json::parse_str(schema).unwrap(), &open, "schema").unwrap(), schema);
    }

    #[test]
    fn reducing_twice_changes_nothing_more() {
        let once = reduced(r#"{"type":"object","properties":{"a":{"oneOf":[{"minimum":1}],"uniqueItems":true}}}"#);
        assert_eq!(reduced(&once), once);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{}{{}}{}", r#"{"items":"#.repeat(levels), "}".repeat(levels));
        assert_eq!(reduced(&nested(MAX_DEPTH - 1)), nested(MAX_DEPTH - 1));
        let deep = nested(MAX_DEPTH);
        let refused = reduce(json::parse_str(&deep).unwrap(), &CLOSED, "x.schema").unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("x.schema"));
    }
}
