//! The two languages of schemas: OpenAPI's subset, and JSON Schema as far as the API takes it.

use serde_json::{Map, Value, json};

use super::request::{message, plain};
use crate::strict::{Checked, Problem, Wrong, each, open_object, present, string};

/// google-genai `types.Schema`.
const OPEN_API: &[&str] = &[
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "default",
    "example",
    "enum",
    "items",
    "minItems",
    "maxItems",
    "properties",
    "propertyOrdering",
    "required",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "anyOf",
];

/// `GenerationConfig.responseJsonSchema`: "only the following properties are supported".
const ANSWER: &[&str] = &[
    "$id",
    "$defs",
    "$ref",
    "$anchor",
    "type",
    "format",
    "title",
    "description",
    "enum",
    "items",
    "prefixItems",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "anyOf",
    "oneOf",
    "properties",
    "additionalProperties",
    "required",
    "propertyOrdering",
];

pub fn open_api(schema: &Value, is_root: bool) -> Checked<()> {
    let fields = message(schema, OPEN_API)?;
    let kind = present(&fields, "type", |kind| match kind {
        Value::Array(_) => Err(plain("Proto field is not repeating, cannot start list.")),
        kind => Ok(string(kind)?.to_lowercase()),
    })?;
    if kind.is_none() && !fields.contains_key("anyOf") {
        return Err(plain("schema didn't specify the schema type field"));
    }
    if is_root && kind.as_deref() == Some("object") && fields.get("properties").is_some_and(is_empty) {
        return Err(Problem::rule("should be non-empty for OBJECT type").under("properties"));
    }
    if fields.contains_key("enum") && kind.as_deref() != Some("string") {
        return Err(Problem::rule("only allowed for STRING type").under("enum"));
    }
    if kind.as_deref() == Some("array") && !fields.contains_key("items") {
        return Err(Problem::rule("missing field.").under("items"));
    }
    present(&fields, "items", |items| open_api(items, false))?;
    present(&fields, "anyOf", |list| each(list, |schema| open_api(schema, false)))?;
    present(&fields, "properties", |named| open_object(named)?.values().try_for_each(|schema| open_api(schema, false)))
        .map(drop)
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

/// A schema of OpenAPI's as one of JSON Schema: types are in lower case there.
pub fn lowered(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let lower = fields.iter().map(|(name, value)| match (name.as_str(), value) {
                ("type", Value::String(kind)) => (name.clone(), json!(kind.to_lowercase())),
                (_, value) => (name.clone(), lowered(value)),
            });
            Value::Object(lower.collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(lowered).collect()),
        other => other.clone(),
    }
}

/// Any keyword may stand in a tool's schema.
pub fn of_parameters(schema: &Value) -> Checked<()> {
    let fields = open_object(schema)?;
    if fields.get("type").is_some_and(|kind| kind != "object") {
        return Err(plain("functionDeclaration parameters schema should be of type OBJECT."));
    }
    if fields.contains_key("$schema") {
        return Err(Problem::new(Wrong::Unknown).under("$schema"));
    }
    json_schema(schema, None)
}

pub fn of_answer(schema: &Value) -> Checked<()> {
    json_schema(schema, Some(ANSWER))
}

fn json_schema(schema: &Value, known: Option<&[&str]>) -> Checked<()> {
    let Value::Object(fields) = schema else { return Ok(()) };
    if let Some(keyword) = fields.keys().find(|key| known.is_some_and(|known| !known.contains(&key.as_str()))) {
        return Err(plain(format!("response_json_schema has an unsupported keyword \"{keyword}\".")));
    }
    if let Some(reference) = fields.get("$ref") {
        if let Some(other) = fields.keys().find(|key| !key.starts_with('$')) {
            return Err(plain(format!(
                "$ref {reference} was set alongside unsupported fields: {other}. If a schema node has $ref set, then \
                 no other fields can be set alongside it"
            )));
        }
        if !string(reference)?.starts_with("#/$defs/") {
            return Err(plain(format!("$ref {reference} does not refer to $defs.")));
        }
    }
    for (keyword, value) in fields {
        let inner: Vec<&Value> = match (keyword.as_str(), value) {
            ("items" | "additionalProperties", one) => vec![one],
            ("properties" | "$defs", Value::Object(named)) => named.values().collect(),
            ("anyOf" | "oneOf" | "allOf" | "prefixItems", Value::Array(list)) => list.iter().collect(),
            _ => continue,
        };
        for schema in inner {
            json_schema(schema, known)?;
        }
    }
    Ok(())
}
