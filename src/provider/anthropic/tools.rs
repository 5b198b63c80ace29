//! Tools, and which of them must or may be called.

use super::cache::{self, Marks};
use crate::chat::ChatRequest;
use crate::chat::request::{Message, Tool, ToolChoice};
use crate::error::Rejection;
use crate::json::{self, Type, Writer};
use crate::places::Places;
use crate::provider::distinct::{Rule, ToolNames};
use crate::provider::schema;

/// The ids of calls: no length is documented.
pub const CALL_IDS: Rule = Rule { punctuation: "_-", any_first: true, longest: usize::MAX };

const NAMES: Rule = Rule { punctuation: "_-", any_first: true, longest: 128 };

/// What a tool may say in Anthropic's own words, on the tool or on its function.
const EXTENSIONS: &[&str] = &["eager_input_streaming", "defer_loading", "allowed_callers", "input_examples"];

/// The names of all tools of a request, those of earlier calls included.
pub fn names(tools: &[Tool<'_>], messages: &[Message<'_>]) -> ToolNames {
    let called = messages.iter().flat_map(|message| &message.tool_calls).map(|call| call.name);
    ToolNames::new(NAMES, tools.iter().map(|tool| tool.name).chain(called))
}

/// Whether the choice leaves the model nothing but to call.
pub fn forces_a_call(choice: Option<&ToolChoice<'_>>) -> bool {
    matches!(choice, Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, .. }))
}

/// Writes `tools` and `tool_choice`.
pub fn write(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    tools: &[Tool<'_>],
    choice: Option<ToolChoice<'_>>,
    names: &ToolNames,
    marks: &Marks,
) -> Result<(), Rejection> {
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
    let asked = Places::of(asked.iter().map(|name| name.decode()));
    let known = Places::of(tools.iter().map(|tool| tool.name.decode()));
    if let Some(name) = asked.names().find(|name| !known.has(name)) {
        return Err(Rejection::invalid("tool_choice", format!("There is no tool '{name}' among the 'tools'.")));
    }
    // A subset cannot be named otherwise.
    let only_asked = matches!(choice, Some(ToolChoice::Allowed { .. }));
    w.key("tools").begin_array();
    for (index, tool) in tools.iter().enumerate() {
        if !only_asked || asked.has(&tool.name.decode()) {
            write_tool(w, tool, &format!("tools[{index}].function"), names)?;
            cache::write(w, marks.tool(index));
            w.end_object();
        }
    }
    w.end_array();
    write_tool_choice(w, choice, one_at_a_time, names);
    Ok(())
}

fn write_tool_choice(w: &mut Writer, choice: Option<ToolChoice<'_>>, one_at_a_time: bool, names: &ToolNames) {
    let (kind, name) = match choice {
        None if !one_at_a_time => return,
        None | Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => ("auto", None),
        Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(name)),
        Some(ToolChoice::None) => ("none", None),
    };
    w.key("tool_choice").begin_object().key("type").string(kind);
    if let Some(name) = name {
        w.key("name").raw(&names.sent(name));
    }
    if one_at_a_time && kind != "none" {
        w.key("disable_parallel_tool_use").bool(true);
    }
    w.end_object();
}

/// Writes a tool, whose object stays open.
fn write_tool(w: &mut Writer, tool: &Tool<'_>, at: &str, names: &ToolNames) -> Result<(), Rejection> {
    if tool.name.is_empty() {
        return Err(Rejection::invalid(format!("{at}.name"), "A tool must have a name."));
    }
    w.begin_object().key("name").raw(&names.sent(tool.name));
    if let Some(description) = tool.description.filter(|text| !text.is_empty()) {
        w.key("description").str(description);
    }
    let at = format!("{at}.parameters");
    let schema = schema::of_parameters(tool.parameters, &at)?;
    w.key("input_schema");
    if tool.strict {
        // A strict tool is held to its schema by the same means as a structured answer.
        let schema = json::parse_str(&schema).map_err(|_| Rejection::invalid(&at, format!("Invalid '{at}'.")))?;
        w.raw(&schema::reduce(schema, &schema::CLOSED, &at)?).key("strict").bool(true);
    } else {
        w.raw(&schema);
    }
    for name in EXTENSIONS {
        let value = tool.fields.get(name).or_else(|| tool.function.get(name));
        if let Some(value) = value.filter(|value| json::type_of(value) != Type::Null) {
            w.key(name).raw(value.get());
        }
    }
    Ok(())
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
    fn a_tool_has_a_name_and_it_becomes_one_that_anthropic_takes() {
        let named = |name: &str| with(&format!(r#""tools":[{}]"#, tool(name, "")), "tools");
        assert_eq!(refused(named("")), "tools[0].function.name");
        assert!(named("a.b").unwrap().starts_with(r#"[{"name":"a_b","#));
        let long = "n".repeat(128);
        assert!(named(&format!("{long}n")).unwrap().starts_with(&format!(r#"[{{"name":"{long}","#)));
        let both = format!(r#""tools":[{},{}],"tool_choice":{}"#, tool("a.b", ""), tool("a_b", ""), tool("a.b", ""));
        assert_eq!(with(&both, "tool_choice").unwrap(), r#"{"type":"tool","name":"a_b_2"}"#);
    }

    #[test]
    fn what_a_tool_says_in_anthropics_words_is_kept() {
        let tool = r#"{"type":"function","function":{"name":"f","defer_loading":true},"input_examples":[{"a":1.0}],
            "cache_control":{"type":"ephemeral"},"unknown":1}"#;
        assert_eq!(
            with(&format!(r#""tools":[{tool}]"#), "tools").unwrap(),
            concat!(
                r#"[{"name":"f","input_schema":{"type":"object","properties":{}},"defer_loading":true,"#,
                r#""input_examples":[{"a":1.0}],"cache_control":{"type":"ephemeral"}}]"#
            )
        );
    }
}
