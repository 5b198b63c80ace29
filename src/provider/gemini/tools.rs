//! Tools, and which of them must or may be called.

use std::borrow::Cow;

use super::schema;
use crate::chat::ChatRequest;
use crate::chat::request::{Tool, ToolChoice};
use crate::error::Rejection;
use crate::json::{self, Object, Type, Writer};
use crate::places::Places;
use crate::provider::distinct::{Rule, ToolNames};

/// Most declarations that a request may have (google-genai `types.Tool`).
const MOST_TOOLS: usize = 512;

/// A letter or an underscore, then letters, digits, `_`, `.` and `-`. Newer models also take colons, and 128
/// characters; what fits the older ones fits both.
pub const NAMES: Rule = Rule { punctuation: "_.-", any_first: false, longest: 64 };

/// Writes `tools` and `toolConfig`.
pub fn write(
    w: &mut Writer,
    chat: &ChatRequest<'_>,
    tools: &[Tool<'_>],
    names: &ToolNames,
    dropped: &mut Vec<Cow<'static, str>>,
) -> Result<(), Rejection> {
    let choice = chat.tool_choice()?;
    let searches = search(chat, dropped);
    // There is no such switch.
    if chat.bool("parallel_tool_calls")? == Some(false) && !tools.is_empty() {
        dropped.push("parallel_tool_calls".into());
    }
    if tools.len() > MOST_TOOLS {
        return Err(Rejection::invalid("tools", format!("With this model there can be at most {MOST_TOOLS} tools.")));
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
    if tools.is_empty() && matches!(choice, Some(ToolChoice::Required)) {
        return Err(Rejection::invalid("tool_choice", "'tool_choice' needs 'tools'."));
    }
    // Names are for calls that are required: a subset to choose from freely is told by leaving out the rest.
    let is_subset = matches!(choice, Some(ToolChoice::Allowed { required: false, .. }));
    if tools.is_empty() {
        if searches {
            w.key("tools").raw(r#"[{"googleSearch":{}}]"#);
        }
        return Ok(());
    }
    if searches {
        let text = "With this model 'web_search_options' and 'tools' exclude each other.";
        return Err(Rejection::unsupported("web_search_options", text));
    }
    w.key("tools").begin_array().begin_object().key("functionDeclarations").begin_array();
    for (index, tool) in tools.iter().enumerate() {
        if !is_subset || asked.has(&tool.name.decode()) {
            write_tool(w, tool, names, &format!("tools[{index}].function"))?;
        }
    }
    w.end_array().end_object().end_array();
    // Calls are held to the schemas of all tools or of none; where one is required they always are.
    let strict = tools.iter().any(|tool| tool.strict);
    let (mode, named) = match choice {
        None | Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) if strict => ("VALIDATED", None),
        None => return Ok(()),
        Some(ToolChoice::Auto | ToolChoice::Allowed { required: false, .. }) => ("AUTO", None),
        Some(ToolChoice::None) => ("NONE", None),
        Some(ToolChoice::Required) => ("ANY", None),
        Some(ToolChoice::Named(name)) => ("ANY", Some(vec![name])),
        Some(ToolChoice::Allowed { names, required: true }) => ("ANY", Some(names)),
    };
    w.key("toolConfig").begin_object().key("functionCallingConfig").begin_object().key("mode").string(mode);
    if let Some(named) = named {
        w.key("allowedFunctionNames").begin_array();
        for name in named {
            w.raw(&names.sent(name));
        }
        w.end_array();
    }
    w.end_object().end_object();
    Ok(())
}

fn write_tool(w: &mut Writer, tool: &Tool<'_>, names: &ToolNames, at: &str) -> Result<(), Rejection> {
    if tool.name.is_empty() {
        return Err(Rejection::invalid(format!("{at}.name"), "The name of a tool is empty."));
    }
    w.begin_object().key("name").raw(&names.sent(tool.name));
    if let Some(description) = tool.description.filter(|text| !text.is_empty()) {
        w.key("description").str(description);
    }
    if let Some(schema) = schema::of_tool(tool.parameters, &format!("{at}.parameters"))? {
        w.key("parametersJsonSchema").raw(&schema);
    }
    w.end_object();
    Ok(())
}

/// `web_search_options` asks for what Google Search does here; how much and for whom cannot be said.
fn search(chat: &ChatRequest<'_>, dropped: &mut Vec<Cow<'static, str>>) -> bool {
    let Some(options) = chat.field("web_search_options") else { return false };
    let options = Object::of(options).unwrap_or_default();
    for name in ["search_context_size", "user_location"] {
        if options.get(name).is_some_and(|value| json::type_of(value) != Type::Null) {
            dropped.push(format!("web_search_options.{name}").into());
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::Surface;
    use super::super::request::tests::{refused, request, target, with};

    fn tool(name: &str, rest: &str) -> String {
        format!(r#"{{"type":"function","function":{{"name":"{name}"{rest}}}}}"#)
    }

    #[test]
    fn a_declaration_has_what_the_client_said_of_it() {
        let tools = |rest: &str| with(&format!(r#""tools":[{}]"#, tool("f", rest)), &["tools"]).unwrap();
        assert_eq!(tools(""), r#"[{"functionDeclarations":[{"name":"f"}]}]"#);
        assert_eq!(
            tools(r#","description":"d\n","parameters":{"type":"object","properties":{"a":{"type":"string"}}}"#),
            concat!(
                r#"[{"functionDeclarations":[{"name":"f","description":"d\n","#,
                r#""parametersJsonSchema":{"type":"object","properties":{"a":{"type":"string"}}}}]}]"#
            )
        );
        let many: Vec<_> = (0..513).map(|number| tool(&format!("f{number}"), "")).collect();
        assert_eq!(refused(with(&format!(r#""tools":[{}]"#, many.join(",")), &[])), "tools");
        assert_eq!(refused(with(&format!(r#""tools":[{}]"#, tool("", "")), &[])), "tools[0].function.name");
    }

    #[test]
    fn every_tool_choice_has_its_form() {
        let choice = |choice: &str| {
            let tools = format!(r#""tools":[{},{}]{choice}"#, tool("f", ""), tool("a/b", ""));
            with(&tools, &["toolConfig", "functionCallingConfig"]).unwrap()
        };
        let allowed = |mode: &str| {
            let name = tool("a/b", "");
            format!(r#","tool_choice":{{"type":"allowed_tools","allowed_tools":{{"mode":"{mode}","tools":[{name}]}}}}"#)
        };
        assert_eq!(choice(""), "");
        assert_eq!(choice(r#","tool_choice":"auto""#), r#"{"mode":"AUTO"}"#);
        assert_eq!(choice(r#","tool_choice":"none""#), r#"{"mode":"NONE"}"#);
        assert_eq!(choice(r#","tool_choice":"required""#), r#"{"mode":"ANY"}"#);
        let named = format!(r#","tool_choice":{}"#, tool("a/b", ""));
        assert_eq!(choice(&named), r#"{"mode":"ANY","allowedFunctionNames":["a_b"]}"#);
        assert_eq!(choice(&allowed("required")), r#"{"mode":"ANY","allowedFunctionNames":["a_b"]}"#);
        assert_eq!(choice(&allowed("auto")), r#"{"mode":"AUTO"}"#);
        let offered = format!(r#""tools":[{},{}]{}"#, tool("f", ""), tool("a/b", ""), allowed("auto"));
        assert_eq!(with(&offered, &["tools"]).unwrap(), r#"[{"functionDeclarations":[{"name":"a_b"}]}]"#);
        let strict = format!(r#""tools":[{}]"#, tool("f", r#","strict":true"#));
        assert_eq!(with(&strict, &["toolConfig"]).unwrap(), r#"{"functionCallingConfig":{"mode":"VALIDATED"}}"#);
        assert_eq!(refused(with(r#""tool_choice":"required""#, &[])), "tool_choice");
        assert_eq!(refused(with(&format!(r#""tools":[{}]{named}"#, tool("f", "")), &[])), "tool_choice");
    }

    #[test]
    fn names_that_do_not_fit_get_one_of_their_own_and_find_the_way_back() {
        let long = "n".repeat(65);
        let tools: Vec<_> = ["a.b", "a b", "a_b", "a/b", "9x", "é", &long].iter().map(|name| tool(name, "")).collect();
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"x"}},{{"role":"assistant","tool_calls":[
            {{"id":"1","function":{{"name":"gone away","arguments":""}}}}]}},{{"role":"tool","tool_call_id":"1","content":""}}],
            "tools":[{}]}}"#,
            tools.join(",")
        );
        let (body, request) = request(&body, &target(), Surface::Studio).unwrap();
        let declared: Vec<_> = body.split(r#"{"name":""#).skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let short = &long[..64];
        assert_eq!(declared[2..], ["a.b", "a_b_2", "a_b", "a_b_3", "_9x", "_", short], "{body}");
        assert_eq!(declared[..2], ["gone_away", "gone_away"]);
        let renamed = request.renamed.iter().map(|(sent, own)| (sent.as_str(), own.as_str()));
        let expected = [("_9x", "9x"), ("a_b_2", "a b"), ("a_b_3", "a/b"), ("gone_away", "gone away")];
        let expected = expected.into_iter().chain([(short, long.as_str()), ("_", "é")]).collect::<Vec<_>>();
        assert_eq!(renamed.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_search_of_the_web_is_googles() {
        let search = r#""web_search_options":{"search_context_size":"low","user_location":null}"#;
        assert_eq!(with(search, &["tools"]).unwrap(), r#"[{"googleSearch":{}}]"#);
        assert_eq!(refused(with(&format!(r#"{search},"tools":[{}]"#, tool("f", "")), &[])), "web_search_options");
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],{search}}}"#);
        let (_, request) = request(&body, &target(), Surface::Studio).unwrap();
        assert_eq!(request.dropped, ["web_search_options.search_context_size"]);
    }
}
