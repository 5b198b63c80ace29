//! Tools, and which of them must or may be called.

use std::collections::BTreeSet;

use super::SCHEMA;
use crate::chat::ChatRequest;
use crate::chat::request::{Tool, ToolChoice};
use crate::error::Rejection;
use crate::json::{Str, Writer};
use crate::provider::distinct::Rule;
use crate::provider::schema;

/// The ids of calls: no length is documented.
pub const CALL_IDS: Rule = Rule { punctuation: "_-", any_first: true, longest: usize::MAX };

/// Writes `tools` and `tool_choice`.
pub fn write(w: &mut Writer, chat: &ChatRequest<'_>) -> Result<(), Rejection> {
    let tools = chat.tools()?;
    let choice = chat.tool_choice()?;
    let one_at_a_time = chat.bool("parallel_tool_calls")? == Some(false);
    if tools.is_empty() {
        // `auto`, `none` and `parallel_tool_calls` ask for nothing that is not so without tools.
        return match choice {
            None | Some(ToolChoice::None | ToolChoice::Auto) => Ok(()),
            Some(_) => Err(Rejection::invalid("tool_choice", "'tool_choice' needs 'tools'.")),
        };
    }
    let asked = match &choice {
        Some(ToolChoice::Named(name)) => std::slice::from_ref(name),
        Some(ToolChoice::Allowed { names, .. }) if names.is_empty() => {
            return Err(Rejection::invalid("tool_choice.allowed_tools.tools", "No tool is allowed."));
        }
        Some(ToolChoice::Allowed { names, .. }) => names,
        _ => &[],
    };
    let asked: BTreeSet<_> = asked.iter().map(|name| name.decode()).collect();
    let known: BTreeSet<_> = tools.iter().map(|tool| tool.name.decode()).collect();
    if let Some(name) = asked.difference(&known).next() {
        return Err(Rejection::invalid("tool_choice", format!("There is no tool '{name}' among the 'tools'.")));
    }
    // A subset cannot be named otherwise.
    let only_asked = matches!(choice, Some(ToolChoice::Allowed { .. }));
    w.key("tools").begin_array();
    for (index, tool) in tools.iter().enumerate() {
        if !only_asked || asked.contains(&tool.name.decode()) {
            write_tool(w, tool, &format!("tools[{index}].function"))?;
        }
    }
    w.end_array();
    write_tool_choice(w, choice, one_at_a_time);
    Ok(())
}

fn write_tool_choice(w: &mut Writer, choice: Option<ToolChoice<'_>>, one_at_a_time: bool) {
    let (kind, name) = match choice {
        None if !one_at_a_time => return,
        None | Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => ("auto", None),
        Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(name)),
        Some(ToolChoice::None) => ("none", None),
    };
    w.key("tool_choice").begin_object().key("type").string(kind);
    if let Some(name) = name {
        w.key("name").str(name);
    }
    if one_at_a_time && kind != "none" {
        w.key("disable_parallel_tool_use").bool(true);
    }
    w.end_object();
}

fn write_tool(w: &mut Writer, tool: &Tool<'_>, at: &str) -> Result<(), Rejection> {
    check_name(tool.name, || format!("{at}.name"))?;
    w.begin_object().key("name").str(tool.name);
    if let Some(description) = tool.description.filter(|text| !text.is_empty()) {
        w.key("description").str(description);
    }
    let at = format!("{at}.parameters");
    let schema = schema::of_parameters(tool.parameters, &at)?;
    w.key("input_schema");
    if tool.strict {
        // A strict tool is held to its schema by the same means as a structured answer.
        let schema = serde_json::from_str(&schema).map_err(|_| Rejection::invalid(&at, format!("Invalid '{at}'.")))?;
        w.raw(&schema::reduce(schema, &SCHEMA, &at)?).key("strict").bool(true);
    } else {
        w.raw(&schema);
    }
    w.end_object();
    Ok(())
}

pub fn check_name(name: Str<'_>, at: impl Fn() -> String) -> Result<(), Rejection> {
    let text = name.decode();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=128).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(());
    }
    let text = "The name of a tool must be 1 to 128 letters, digits, underscores and hyphens.";
    Err(Rejection::invalid(at(), text))
}

#[cfg(test)]
mod tests {
    use crate::provider::anthropic::request::tests::{refused, with};

    fn tool(name: &str, rest: &str) -> String {
        format!(r#"{{"type":"function","function":{{"name":"{name}"{rest}}}}}"#)
    }

    #[test]
    fn a_tools_schema_stays_as_it_is_but_for_its_root_type() {
        let schema = |rest: &str| with(&format!(r#""tools":[{}]"#, tool("f", rest)), "tools");
        let with_schema = |schema: &str| format!(r#"[{{"name":"f","input_schema":{schema}}}]"#);
        for (parameters, expected) in [
            (
                r#" {"type":"object", "properties":{"a":{"minimum":1.0}}}"#,
                r#"{"type":"object", "properties":{"a":{"minimum":1.0}}}"#,
            ),
            (r#"{ "properties":{}}"#, r#"{"type":"object", "properties":{}}"#),
            ("{ }", r#"{"type":"object"}"#),
            ("null", r#"{"type":"object","properties":{}}"#),
        ] {
            assert_eq!(schema(&format!(r#","parameters":{parameters}"#)).unwrap(), with_schema(expected));
        }
        assert_eq!(refused(schema(r#","parameters":{"type":"array"}"#)), "tools[0].function.parameters.type");
        assert_eq!(
            schema(r#","description":"d\n","strict":true,"parameters":{"properties":{"a":{"minimum":1}}}"#).unwrap(),
            concat!(
                r#"[{"name":"f","description":"d\n","input_schema":{"type":"object","properties":{"a":"#,
                r#"{"description":"{minimum: 1}"}},"additionalProperties":false},"strict":true}]"#
            )
        );
    }

    #[test]
    fn every_tool_choice_has_its_form() {
        let tools = format!(r#""tools":[{},{}]"#, tool("f", ""), tool("g", ""));
        let choice = |choice: &str| with(&format!("{tools}{choice}"), "tool_choice").unwrap();
        let allowed = |mode: &str, name: &str| {
            let name = tool(name, "");
            format!(r#","tool_choice":{{"type":"allowed_tools","allowed_tools":{{"mode":"{mode}","tools":[{name}]}}}}"#)
        };
        let serial = r#","parallel_tool_calls":false"#;
        assert_eq!(choice(""), "");
        assert_eq!(choice(serial), r#"{"type":"auto","disable_parallel_tool_use":true}"#);
        assert_eq!(choice(r#","parallel_tool_calls":true"#), "");
        assert_eq!(choice(r#","tool_choice":"auto""#), r#"{"type":"auto"}"#);
        assert_eq!(choice(&format!(r#","tool_choice":"none"{serial}"#)), r#"{"type":"none"}"#);
        let required = format!(r#","tool_choice":"required"{serial}"#);
        assert_eq!(choice(&required), r#"{"type":"any","disable_parallel_tool_use":true}"#);
        let named = format!(r#","tool_choice":{}"#, tool("g", ""));
        assert_eq!(choice(&named), r#"{"type":"tool","name":"g"}"#);
        assert_eq!(choice(&allowed("auto", "g")), r#"{"type":"auto"}"#);
        assert_eq!(choice(&allowed("required", "g")), r#"{"type":"any"}"#);
        let offered = with(&format!("{tools}{}", allowed("auto", "g")), "tools").unwrap();
        assert!(offered.contains("\"g\"") && !offered.contains("\"f\""));
        assert_eq!(refused(with(&format!("{tools}{}", allowed("auto", "h")), "tools")), "tool_choice");
    }

    #[test]
    fn only_a_choice_that_forces_needs_tools() {
        assert_eq!(with(r#""tools":[],"tool_choice":"auto","parallel_tool_calls":false"#, "tool_choice").unwrap(), "");
        assert_eq!(refused(with(r#""tool_choice":"required""#, "tools")), "tool_choice");
    }

    #[test]
    fn a_tools_name_is_one_that_anthropic_takes() {
        assert_eq!(refused(with(&format!(r#""tools":[{}]"#, tool("a.b", "")), "tools")), "tools[0].function.name");
        assert_eq!(refused(with(&format!(r#""tools":[{}]"#, tool("", "")), "tools")), "tools[0].function.name");
        let long = tool(&"n".repeat(128), "");
        assert!(with(&format!(r#""tools":[{long}]"#), "tools").is_ok());
    }
}
