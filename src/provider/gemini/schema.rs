//! JSON schemas as Gemini takes them.
//!
//! A tool's parameters go out as `parametersJsonSchema`, which takes JSON Schema as it is, and not as
//! `parameters`, which is OpenAPI's subset: there one unknown keyword (`const`, `additionalProperties`,
//! `exclusiveMinimum` …), a list of types or a `$ref` refuses the whole request, and rewriting them loses
//! what they say. What even `parametersJsonSchema` is particular about is put right here: references
//! are resolved (beside a `$ref` nothing else may stand, and only `$defs` is known), `const` becomes an
//! `enum`, an `allOf` of one its element, and what only editors read is left out.
//!
//! Structured output goes out as `responseJsonSchema`, whose keywords are a closed list
//! (`GenerationConfig.responseJsonSchema`); what is not on it moves into descriptions.

use std::borrow::Cow;

use crate::error::Rejection;
use crate::json::{self, Object, RawValue, Str, Type, Writer};
use crate::places::Places;
use crate::provider::schema::{self, Dialect};

const ANSWER: Dialect = Dialect { takes, closes: false };

fn takes(key: &str, value: &RawValue) -> bool {
    match key {
        "$id"
        | "$defs"
        | "$ref"
        | "$anchor"
        | "type"
        | "format"
        | "title"
        | "description"
        | "prefixItems"
        | "minItems"
        | "maxItems"
        | "minimum"
        | "maximum"
        | "anyOf"
        | "properties"
        | "additionalProperties"
        | "required"
        | "propertyOrdering" => true,
        "items" => json::type_of(value) != Type::Array,
        // For strings and numbers.
        "enum" => json::elements(value).is_some_and(|values| values.into_iter().all(is_enumerable)),
        _ => false,
    }
}

fn is_enumerable(value: &RawValue) -> bool {
    matches!(json::type_of(value), Type::String | Type::Number)
}

/// The schema of an answer. `at` is its place in the client's request.
pub fn of_answer<'a>(schema: &'a RawValue, at: &str) -> Result<Cow<'a, str>, Rejection> {
    let plain = prepare(schema, at)?;
    let plain: &RawValue = match &plain {
        Cow::Borrowed(_) => return schema::reduce(schema, &ANSWER, at),
        Cow::Owned(text) => json::parse_str(text).map_err(|error| invalid(at, &error.to_string()))?,
    };
    Ok(schema::reduce(plain, &ANSWER, at)?.into_owned().into())
}

/// The schema of a tool's parameters, `None` if it has none: an object without properties is refused.
pub fn of_tool<'a>(parameters: Option<&'a RawValue>, at: &str) -> Result<Option<Cow<'a, str>>, Rejection> {
    let Some(parameters) = parameters else { return Ok(None) };
    let fields = Object::of(parameters).ok_or_else(|| invalid(at, schema::NOT_AN_OBJECT))?;
    let says_nothing = |(key, value): (&str, &RawValue)| match key {
        "properties" | "required" => matches!(value.get().replace([' ', '\n'], "").as_str(), "{}" | "[]"),
        "additionalProperties" => value.get() == "false",
        _ => matches!(key, "type" | "$schema" | "$id" | "title" | "description"),
    };
    match fields.get("type").map(RawValue::get) {
        None | Some("\"object\"") => {}
        Some(_) => return Err(Rejection::invalid(format!("{at}.type"), "The parameters of a tool must be an object.")),
    }
    if fields.iter().all(says_nothing) {
        return Ok(None);
    }
    let schema = prepare(parameters, at)?;
    let is_typed = fields.get("type").is_some() || fields.get("$ref").is_some();
    Ok(Some(match schema.get(1..) {
        Some(rest) if !is_typed => format!(r#"{{"type":"object",{rest}"#).into(),
        _ => schema,
    }))
}

fn invalid(at: &str, problem: &str) -> Rejection {
    Rejection::invalid(at, format!("Invalid '{at}': {problem}."))
}

/// As for all schemas ([`schema::reduce`]); a reference that is resolved counts as a level.
const MAX_DEPTH: usize = 32;

/// By how much resolving references may make a schema longer: a few references to references would
/// otherwise make gigabytes.
const MAX_GROWTH: usize = 256 << 10;

fn prepare<'a>(schema: &'a RawValue, at: &str) -> Result<Cow<'a, str>, Rejection> {
    let text = schema.get();
    // What is to be changed has a key that begins with one of these.
    if !["\"$", "\"const\"", "\"allOf\"", "\"strict\"", "\\u"].iter().any(|key| text.contains(key)) {
        return Ok(Cow::Borrowed(text));
    }
    let root = Object::parse(text.as_bytes()).map_err(|error| invalid(at, &error.to_string()))?;
    let mut definitions = Definitions::default();
    for (place, key) in [("#/$defs/", "$defs"), ("#/definitions/", "definitions")] {
        let named = root.get(key).and_then(Object::of).unwrap_or_default();
        for (name, schema) in named.iter() {
            let reference = format!("{place}{}", pointer(name));
            definitions.places.set(reference.clone().into(), definitions.list.len());
            definitions.list.push(Definition { reference, name: name.to_owned(), schema });
        }
    }
    let mut work = Preparation {
        definitions: &definitions,
        out: Writer::with_capacity(text.len()),
        longest: text.len().saturating_add(MAX_GROWTH),
        within: Vec::new(),
        kept: Vec::new(),
        is_root: true,
    };
    work.schema(schema, 0).map_err(|problem| invalid(at, &problem))?;
    String::from_utf8(work.out.into_bytes()).map(Cow::Owned).map_err(|error| invalid(at, &error.to_string()))
}

#[derive(Default)]
struct Definitions<'a> {
    list: Vec<Definition<'a>>,
    /// By their references.
    places: Places<'static>,
}

struct Definition<'a> {
    reference: String,
    name: String,
    schema: &'a RawValue,
}

impl<'a> Definitions<'a> {
    fn get(&self, reference: &str) -> Option<&Definition<'a>> {
        self.list.get(self.places.get(reference)?)
    }
}

struct Preparation<'a, 'd> {
    definitions: &'d Definitions<'a>,
    out: Writer,
    longest: usize,
    /// The references that are being resolved.
    within: Vec<&'d str>,
    /// Those that refer to themselves, and so stay.
    kept: Vec<&'d str>,
    is_root: bool,
}

impl<'a: 'd, 'd> Preparation<'a, 'd> {
    fn schema(&mut self, schema: &'a RawValue, depth: usize) -> Result<(), String> {
        if json::type_of(schema) != Type::Object {
            self.out.raw(schema.get());
            return Ok(());
        }
        if depth == MAX_DEPTH {
            return Err(format!("the schema is nested more than {MAX_DEPTH} levels deep"));
        }
        let is_root = std::mem::take(&mut self.is_root);
        self.out.begin_object();
        self.fields(schema, depth, &mut Vec::new())?;
        if is_root {
            self.write_kept(depth)?;
        }
        self.out.end_object();
        if self.out.written() > self.longest {
            return Err("the schema is too long with its references resolved".to_owned());
        }
        Ok(())
    }

    /// Writes what a schema says beside what is `said` already.
    fn fields(&mut self, schema: &'a RawValue, depth: usize, said: &mut Vec<String>) -> Result<(), String> {
        let fields = Object::of(schema).ok_or(schema::NOT_AN_OBJECT)?;
        let reference = fields.get("$ref").and_then(Str::new).map(Str::decode);
        let found = reference.as_deref().and_then(|reference| self.definitions.get(reference));
        if let Some(Definition { reference, name, .. }) = found
            && self.within.contains(&reference.as_str())
        {
            if !self.kept.contains(&reference.as_str()) {
                self.kept.push(reference);
            }
            self.out.key("$ref").string(&format!("#/$defs/{}", pointer(name)));
            return Ok(());
        }
        for (key, value) in fields.iter() {
            if said.iter().any(|known| known == key) {
                continue;
            }
            match key {
                "$schema" | "$comment" | "strict" | "$defs" | "definitions" => continue,
                // Only what cannot be resolved is told on.
                "$ref" if found.is_some() => continue,
                "allOf" if only(value).is_some() => continue,
                "const" if is_enumerable(value) && fields.get("enum").is_none() => {
                    self.out.key("enum").begin_array().raw(value.get()).end_array();
                }
                "properties" | "patternProperties" | "dependentSchemas" => self.by_name(key, value, depth)?,
                "anyOf" | "oneOf" | "allOf" | "prefixItems" => self.list(key, value, depth)?,
                "items"
                | "additionalProperties"
                | "not"
                | "if"
                | "then"
                | "else"
                | "contains"
                | "propertyNames"
                | "unevaluatedProperties"
                | "unevaluatedItems" => {
                    self.out.any_key(key);
                    self.schema(value, depth + 1)?;
                }
                _ => {
                    self.out.any_key(key).raw(value.get());
                }
            }
            said.push(key.to_owned());
        }
        if let Some(element) = fields.get("allOf").and_then(only) {
            self.deeper(element, depth, said)?;
        }
        if let Some(Definition { reference, schema: target, .. }) = found {
            self.within.push(reference);
            self.deeper(target, depth, said)?;
            self.within.pop();
        }
        Ok(())
    }

    fn deeper(&mut self, schema: &'a RawValue, depth: usize, said: &mut Vec<String>) -> Result<(), String> {
        if depth + 1 == MAX_DEPTH {
            return Err(format!("the schema is nested more than {MAX_DEPTH} levels deep"));
        }
        match json::type_of(schema) {
            Type::Object => self.fields(schema, depth + 1, said),
            _ => Ok(()),
        }
    }

    fn by_name(&mut self, key: &str, value: &'a RawValue, depth: usize) -> Result<(), String> {
        self.out.any_key(key);
        let Ok(schemas) = Object::<'a>::parse(value.get().as_bytes()) else {
            self.out.raw(value.get());
            return Ok(());
        };
        self.out.begin_object();
        for (name, value) in schemas.iter() {
            self.out.any_key(name);
            self.schema(value, depth + 1)?;
        }
        self.out.end_object();
        Ok(())
    }

    fn list(&mut self, key: &str, value: &'a RawValue, depth: usize) -> Result<(), String> {
        self.out.any_key(key);
        let Some(schemas) = json::elements(value) else {
            self.out.raw(value.get());
            return Ok(());
        };
        self.out.begin_array();
        for schema in schemas {
            self.schema(schema, depth + 1)?;
        }
        self.out.end_array();
        Ok(())
    }

    /// Definitions that refer to themselves; the API unrolls them to some depth.
    fn write_kept(&mut self, depth: usize) -> Result<(), String> {
        if self.kept.is_empty() {
            return Ok(());
        }
        self.out.key("$defs").begin_object();
        let mut next = 0;
        while let Some(reference) = self.kept.get(next).copied() {
            next += 1;
            let Some(Definition { name, schema, .. }) = self.definitions.get(reference) else { continue };
            self.out.any_key(name);
            self.within = vec![reference];
            self.schema(schema, depth + 1)?;
        }
        self.out.end_object();
        Ok(())
    }
}

/// The element of a list of one.
fn only(list: &RawValue) -> Option<&RawValue> {
    match json::elements(list)?.as_slice() {
        [element] => Some(element),
        _ => None,
    }
}

/// A name as a part of a JSON pointer (RFC 6901).
fn pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        json::parse_str(text).unwrap()
    }

    fn tool(schema: &str) -> String {
        of_tool(Some(raw(schema)), "p").unwrap().unwrap().into_owned()
    }

    fn answer(schema: &str) -> String {
        of_answer(raw(schema), "s").unwrap().into_owned()
    }

    #[test]
    fn a_tools_schema_stays_byte_for_byte_whatever_its_keywords() {
        for schema in [
            r#"{"type":"object", "properties":{"a":{"type":["string","null"],"pattern":"^a","minLength":1.0}},
                "additionalProperties":false,"required":["a"]}"#,
            r#"{"type":"object","properties":{"n":{"anyOf":[{"type":"integer","exclusiveMinimum":0},{"type":"null"}]}}}"#,
            r#"{"type":"object","properties":{"f":{"type":"string","format":"uuid","nullable":true}}}"#,
            r#"{"type":"object","additionalProperties":{"type":"string"}}"#,
        ] {
            assert_eq!(tool(schema), schema);
        }
    }

    #[test]
    fn a_tool_without_parameters_has_no_schema() {
        assert!(of_tool(None, "p").unwrap().is_none());
        for schema in
            ["{}", r#"{"type":"object","properties":{ }}"#, r#"{"type":"object","additionalProperties":false}"#]
        {
            assert!(of_tool(Some(raw(schema)), "p").unwrap().is_none(), "{schema}");
        }
        assert_eq!(tool(r#"{"properties":{"a":{}}}"#), r#"{"type":"object","properties":{"a":{}}}"#);
        let refused = of_tool(Some(raw(r#"{"type":"array"}"#)), "p").unwrap_err();
        assert_eq!(refused.param.as_deref(), Some("p.type"));
    }

    #[test]
    fn references_are_resolved_and_what_stands_beside_them_wins() {
        let schema = r##"{"$schema":"x","type":"object","properties":{"a":{"$ref":"#/$defs/A","description":"mine"},
            "b":{"type":"array","items":{"$ref":"#/definitions/B~1b"}}},"$defs":{"A":{"type":"string","description":"its"}},
            "definitions":{"B/b":{"allOf":[{"$ref":"#/$defs/A"}],"title":"T"}}}"##;
        let expected = concat!(
            r#"{"type":"object","properties":{"a":{"description":"mine","type":"string"},"#,
            r#""b":{"type":"array","items":{"title":"T","type":"string","description":"its"}}}}"#
        );
        assert_eq!(tool(schema), expected);
        assert_eq!(
            tool(
                r##"{"$ref":"#/definitions/R","definitions":{"R":{"type":"object","properties":{"x":{"const":1.0}}}}}"##
            ),
            r#"{"type":"object","properties":{"x":{"enum":[1.0]}}}"#
        );
        let elsewhere = r#"{"type":"object","properties":{"a":{"$ref":"https://h/s.json"}}}"#;
        assert_eq!(tool(elsewhere), elsewhere);
    }

    #[test]
    fn a_schema_that_refers_to_itself_keeps_its_definition() {
        let schema = r##"{"type":"object","properties":{"tree":{"$ref":"#/definitions/Node"}},
            "definitions":{"Node":{"type":"object","properties":{"next":{"$ref":"#/definitions/Node","title":"t"}}}}}"##;
        let expected = concat!(
            r##"{"type":"object","properties":{"tree":{"type":"object","properties":{"next":{"$ref":"#/$defs/Node"}}}},"##,
            r##""$defs":{"Node":{"type":"object","properties":{"next":{"$ref":"#/$defs/Node"}}}}}"##
        );
        assert_eq!(tool(schema), expected);
        assert_eq!(answer(schema), expected);
    }

    #[test]
    fn references_to_references_do_not_grow_without_bound() {
        let mut definitions = vec![r#""D0":{"type":"string"}"#.to_owned()];
        for n in 1..30 {
            let below = format!(r##"{{"$ref":"#/$defs/D{}"}}"##, n - 1);
            definitions.push(format!(r#""D{n}":{{"properties":{{"a":{below},"b":{below}}}}}"#));
        }
        let schema = format!(r##"{{"$ref":"#/$defs/D29","$defs":{{{}}}}}"##, definitions.join(","));
        assert!(of_tool(Some(raw(&schema)), "p").is_err());
    }

    #[test]
    fn an_answers_schema_keeps_the_keywords_on_the_list() {
        let fine = r#"{"type":"object","properties":{"a":{"type":["integer","null"],"minimum":0,"enum":[1,"x"]}},
            "required":["a"],"additionalProperties":false,"propertyOrdering":["a"]}"#;
        assert_eq!(answer(fine), fine);
        assert_eq!(
            answer(r#"{"type":"string","pattern":"^a$","const":"x","oneOf":[{"minLength":1}]}"#),
            r#"{"type":"string","enum":["x"],"anyOf":[{"description":"{minLength: 1}"}],"description":"{pattern: \"^a$\"}"}"#
        );
        assert_eq!(answer(r#"{"const":true}"#), r#"{"description":"{const: true}"}"#);
    }
}
