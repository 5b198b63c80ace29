//! An instance made from a JSON schema: what a model that follows the schema, and nothing else, says.
//!
//! The same schema always gives the same instance. It reads the keywords that tool schemas use and must
//! not know what the instance is for.

use serde_json::{Map, Value, json};

/// Schemas may refer to themselves; the references end here.
const MOST_NESTED: usize = 12;

pub fn instance(schema: &Value) -> Value {
    value(schema, schema, 0)
}

/// A schema that stands somewhere in a text.
pub fn schema_in(text: &str) -> Option<Value> {
    let is_schema = |value: &Value| ["type", "properties", "$ref", "anyOf"].iter().any(|key| value.get(key).is_some());
    let starts = text.match_indices('{').filter_map(|(at, _)| text.get(at..));
    let values = starts.filter_map(|rest| serde_json::Deserializer::from_str(rest).into_iter().next()?.ok());
    values.into_iter().find(is_schema)
}

fn value(schema: &Value, root: &Value, depth: usize) -> Value {
    let Some(keywords) = schema.as_object() else { return json!("text") };
    if depth > MOST_NESTED {
        return Value::Null;
    }
    if let Some(constant) = keywords.get("const") {
        return constant.clone();
    }
    if let Some(first) = first_of(keywords, "enum") {
        return first.clone();
    }
    if let Some(target) = keywords.get("$ref").and_then(Value::as_str) {
        let target = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or(Value::Null, |target| value(target, root, depth + 1));
    }
    if let Some(first) = ["anyOf", "oneOf"].iter().find_map(|key| first_of(keywords, key)) {
        return value(first, root, depth + 1);
    }
    match type_of(keywords) {
        "object" => object(keywords, root, depth),
        "array" => match keywords.get("items") {
            Some(items) => json!([value(items, root, depth + 1)]),
            None => json!([]),
        },
        "integer" => json!(1),
        "number" => json!(1.5),
        "boolean" => json!(true),
        "null" => Value::Null,
        _ => json!("text"),
    }
}

fn first_of<'a>(keywords: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    keywords.get(key)?.as_array()?.first()
}

fn type_of(keywords: &Map<String, Value>) -> &str {
    let named = keywords.get("type");
    let first = first_of(keywords, "type").or(named).and_then(Value::as_str);
    first.unwrap_or_else(|| {
        let object = ["properties", "required", "allOf"].iter().any(|key| keywords.contains_key(*key));
        if object || keywords.is_empty() { "object" } else { "string" }
    })
}

/// The required properties, or all of them where none is required.
fn object(keywords: &Map<String, Value>, root: &Value, depth: usize) -> Value {
    let mut members = Map::new();
    for part in keywords.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        if let Value::Object(more) = value(part, root, depth + 1) {
            members.extend(more);
        }
    }
    let required = keywords.get("required").and_then(Value::as_array);
    let wanted = |name: &str| required.is_none_or(|names| names.iter().any(|required| required == name));
    for (name, property) in keywords.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if wanted(name) {
            members.insert(name.clone(), value(property, root, depth + 1));
        }
    }
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_follows_the_schema() {
        let cases = [
            (json!({"type": "object", "properties": {}}), json!({})),
            (
                json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}),
                json!({"a": "text", "b": 1}),
            ),
            (json!({"properties": {"a": {"type": "number"}, "b": {}}, "required": ["a"]}), json!({"a": 1.5})),
            (json!({"type": "array", "items": {"type": "boolean"}}), json!([true])),
            (json!({"enum": ["x", "y"]}), json!("x")),
            (json!({"type": ["null", "string"]}), Value::Null),
            (json!({"anyOf": [{"const": 7}, {"type": "string"}]}), json!(7)),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}}), json!(1)),
        ];
        for (schema, expected) in cases {
            assert_eq!(instance(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn schema_is_found_in_a_text() {
        assert_eq!(schema_in(r#"a {b} {"c":1} {"type":"string"}."#), Some(json!({"type": "string"})));
        assert_eq!(schema_in("{ no schema } {}"), None);
    }

    #[test]
    fn schema_that_contains_itself_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert!(instance(&schema).to_string().len() < 1000);
    }
}
