//! Tools, and which of them must or may be called.

use std::borrow::Cow;

use super::Maker;
use super::cache::CachePoints;
use super::request::Additional;
use crate::chat::ChatRequest;
use crate::chat::request::{Message, Tool, ToolChoice};
use crate::error::Rejection;
use crate::json::{self, Str, Writer};
use crate::places::Places;
use crate::provider::distinct::{Rule, ToolNames};
use crate::provider::schema;

/// `ToolUseId`
pub const CALL_IDS: Rule = Rule { punctuation: "_.:-", any_first: true, longest: 64 };

/// `ToolName`
const NAMES: Rule = Rule { punctuation: "_-", any_first: true, longest: 64 };

/// The tools of a request, and what of them is said where.
pub struct Tools<'a> {
    pub tools: Vec<Tool<'a>>,
    pub choice: Option<ToolChoice<'a>>,
    pub names: ToolNames,
    /// The names of tools that were called before.
    called: Vec<Str<'a>>,
    one_at_a_time: bool,
}

impl<'a> Tools<'a> {
    pub fn read(chat: &ChatRequest<'a>, messages: &[Message<'a>]) -> Result<Self, Rejection> {
        let tools = chat.tools()?;
        let choice = chat.tool_choice()?;
        let called: Vec<_> =
            messages.iter().flat_map(|message| message.tool_calls.iter().map(|call| call.name)).collect();
        let all = tools.iter().map(|tool| tool.name).chain(called.iter().copied());
        if let Some(index) = tools.iter().position(|tool| tool.name.is_empty()) {
            return Err(Rejection::invalid(format!("tools[{index}].function.name"), "The name of a tool is empty."));
        }
        let names = ToolNames::new(NAMES, all);
        let one_at_a_time = chat.bool("parallel_tool_calls")? == Some(false);
        let read = Tools { tools, choice, names, called, one_at_a_time };
        read.check()?;
        Ok(read)
    }

    fn asked(&self) -> &[Str<'a>] {
        match &self.choice {
            Some(ToolChoice::Named(name)) => std::slice::from_ref(name),
            Some(ToolChoice::Allowed { names, .. }) => names,
            _ => &[],
        }
    }

    fn check(&self) -> Result<(), Rejection> {
        if self.tools.is_empty() {
            // `auto`, `none` and `parallel_tool_calls` ask for nothing that is not so without tools.
            return match self.choice {
                None | Some(ToolChoice::None | ToolChoice::Auto) => Ok(()),
                Some(_) => Err(Rejection::invalid("tool_choice", "'tool_choice' needs 'tools'.")),
            };
        }
        if matches!(&self.choice, Some(ToolChoice::Allowed { names, .. }) if names.is_empty()) {
            return Err(Rejection::invalid("tool_choice.allowed_tools.tools", "No tool is allowed."));
        }
        let known = Places::of(self.tools.iter().map(|tool| tool.name.decode()));
        match self.asked().iter().map(|name| name.decode()).find(|name| !known.has(name)) {
            Some(name) => {
                Err(Rejection::invalid("tool_choice", format!("There is no tool '{name}' among the 'tools'.")))
            }
            None => Ok(()),
        }
    }

    /// Writes `toolConfig`, which has to be there where tools were called before, whatever is asked for now.
    pub fn write(
        &self,
        w: &mut Writer,
        maker: &Maker,
        cache: &mut CachePoints,
        additional: &mut Additional,
        dropped: &mut Vec<Cow<'static, str>>,
    ) -> Result<(), Rejection> {
        let is_none = self.tools.is_empty() || matches!(self.choice, Some(ToolChoice::None));
        if is_none && self.called.is_empty() {
            return Ok(());
        }
        w.key("toolConfig").begin_object().key("tools").begin_array();
        self.write_tools(w, cache)?;
        w.end_array();
        if !is_none {
            self.write_choice(w, maker, additional, dropped);
        } else if maker.is_claude {
            // Converse has no such choice; the Messages API behind it does.
            additional.add("tool_choice", r#"{"type":"none"}"#);
        } else if !self.tools.is_empty() {
            dropped.push("tool_choice".into());
        }
        w.end_object();
        Ok(())
    }

    fn write_tools(&self, w: &mut Writer, cache: &mut CachePoints) -> Result<(), Rejection> {
        // A subset cannot be named otherwise.
        let only_asked = matches!(self.choice, Some(ToolChoice::Allowed { .. }));
        let asked = Places::of(self.asked().iter().map(|name| name.decode()));
        for (index, tool) in self.tools.iter().enumerate() {
            if !only_asked || asked.has(&tool.name.decode()) {
                self.write_tool(w, tool, &format!("tools[{index}].function.parameters"))?;
                cache.write_behind_tool(w, tool);
            }
        }
        if self.tools.is_empty() {
            for name in Places::of(self.called.iter().map(|name| self.names.sent(*name))).names() {
                w.begin_object().key("toolSpec").begin_object().key("name").raw(name);
                w.key("inputSchema").begin_object().key("json").raw(r#"{"type":"object"}"#);
                w.end_object().end_object().end_object();
            }
        }
        Ok(())
    }

    fn write_tool(&self, w: &mut Writer, tool: &Tool<'_>, at: &str) -> Result<(), Rejection> {
        w.begin_object().key("toolSpec").begin_object().key("name").raw(&self.names.sent(tool.name));
        if let Some(description) = tool.description.filter(|text| !text.is_empty()) {
            w.key("description").str(description);
        }
        let schema = schema::of_parameters(tool.parameters, at)?;
        w.key("inputSchema").begin_object().key("json");
        if tool.strict {
            // A strict tool is held to its schema by the same means as a structured answer.
            let schema = json::parse_str(&schema).map_err(|_| Rejection::invalid(at, format!("Invalid '{at}'.")))?;
            w.raw(&schema::reduce(schema, &schema::CLOSED, at)?).end_object().key("strict").bool(true);
        } else {
            w.raw(&schema).end_object();
        }
        w.end_object().end_object();
        Ok(())
    }

    /// `toolChoice`, or all of it in the Messages API's own words where one call at a time is asked for: Bedrock
    /// refuses a request that has a type of choice in both places.
    fn write_choice(
        &self,
        w: &mut Writer,
        maker: &Maker,
        additional: &mut Additional,
        dropped: &mut Vec<Cow<'static, str>>,
    ) {
        let (kind, name) = match &self.choice {
            Some(ToolChoice::Required | ToolChoice::Allowed { required: true, .. }) => ("any", None),
            Some(ToolChoice::Named(name)) => ("tool", Some(self.names.sent(*name))),
            _ => ("auto", None),
        };
        if self.one_at_a_time && maker.is_claude {
            let name = name.map(|name| format!(r#","name":{name}"#)).unwrap_or_default();
            additional.add("tool_choice", &format!(r#"{{"type":"{kind}"{name},"disable_parallel_tool_use":true}}"#));
            return;
        }
        if self.one_at_a_time {
            dropped.push("parallel_tool_calls".into());
        }
        if self.choice.is_none() {
            return;
        }
        w.key("toolChoice").begin_object().key(kind).begin_object();
        if let Some(name) = name {
            w.key("name").raw(&name);
        }
        w.end_object().end_object();
    }
}

#[cfg(test)]
mod tests {
    use crate::provider::bedrock::request::tests::{CLAUDE, HI, NOVA, field, refused, target, with, written};

    fn tool(name: &str, rest: &str) -> String {
        format!(r#"{{"type":"function","function":{{"name":"{name}"{rest}}}}}"#)
    }

    #[test]
    fn a_tool_has_a_schema_and_no_empty_description() {
        let tools = format!(
            r#""tools":[{},{}]"#,
            tool("f", r#","description":"","parameters":{"properties":{"a":{"minimum":1.0}}}"#),
            tool("g", r#","description":"d\n","strict":true,"parameters":{"type":"object","properties":{}}"#)
        );
        assert_eq!(
            with(CLAUDE, &tools, "toolConfig"),
            concat!(
                r#"{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object","#,
                r#""properties":{"a":{"minimum":1.0}}}}}},{"toolSpec":{"name":"g","description":"d\n","#,
                r#""inputSchema":{"json":{"type":"object","properties":{},"additionalProperties":false}},"#,
                r#""strict":true}}]}"#
            )
        );
        let none = format!(r#","tools":[{}]"#, tool("f", r#","parameters":{"type":"array"}"#));
        assert_eq!(refused(field(CLAUDE, "", HI, &none)), "tools[0].function.parameters.type");
        assert_eq!(
            refused(field(CLAUDE, "", HI, &format!(r#","tools":[{}]"#, tool("", "")))),
            "tools[0].function.name"
        );
    }

    #[test]
    fn every_tool_choice_has_its_form() {
        let tools = format!(r#""tools":[{},{}]"#, tool("f", ""), tool("g.h", ""));
        let config = |id: &str, rest: &str| {
            let body = format!(r#"{{"model":"m","messages":{HI},{tools}{rest}}}"#);
            let (body, request) = written(&body, &target(id)).unwrap();
            let choice = body.split_once(r#""toolChoice":"#).map_or("", |(_, rest)| rest.split("},\"").next().unwrap());
            let claude = body.split_once(r#""tool_choice":"#).map_or("", |(_, rest)| &rest[..rest.len() - 2]);
            (choice.replace("}}}", "}}").to_owned(), claude.to_owned(), request.dropped.concat())
        };
        let is = |choice: &str, claude: &str, dropped: &str| (choice.to_owned(), claude.to_owned(), dropped.to_owned());
        let serial = r#","parallel_tool_calls":false"#;
        let allowed = |mode: &str| {
            let name = tool("g.h", "");
            format!(r#","tool_choice":{{"type":"allowed_tools","allowed_tools":{{"mode":"{mode}","tools":[{name}]}}}}"#)
        };
        let named = format!(r#","tool_choice":{}"#, tool("g.h", ""));
        assert_eq!(config(CLAUDE, ""), is("", "", ""));
        assert_eq!(config(CLAUDE, r#","tool_choice":"auto""#), is(r#"{"auto":{}}"#, "", ""));
        assert_eq!(config(CLAUDE, r#","tool_choice":"required""#), is(r#"{"any":{}}"#, "", ""));
        assert_eq!(config(CLAUDE, &named), is(r#"{"tool":{"name":"g_h"}}"#, "", ""));
        assert_eq!(config(CLAUDE, &allowed("auto")), is(r#"{"auto":{}}"#, "", ""));
        assert_eq!(config(CLAUDE, &allowed("required")), is(r#"{"any":{}}"#, "", ""));
        assert_eq!(config(CLAUDE, serial), is("", r#"{"type":"auto","disable_parallel_tool_use":true}"#, ""));
        assert_eq!(
            config(CLAUDE, &format!("{named}{serial}")),
            is("", r#"{"type":"tool","name":"g_h","disable_parallel_tool_use":true}"#, "")
        );
        assert_eq!(config(NOVA, serial), is("", "", "parallel_tool_calls"));
        assert_eq!(config(NOVA, r#","parallel_tool_calls":true"#), is("", "", ""));
        let only = with(CLAUDE, &format!("{tools}{}", allowed("auto")), "toolConfig");
        assert!(only.contains("\"g_h\"") && !only.contains("\"f\""));
        let other = allowed("auto").replace("g.h", "x");
        assert_eq!(refused(field(CLAUDE, "", HI, &format!(",{tools}{other}"))), "tool_choice");
        assert_eq!(refused(field(CLAUDE, "", HI, r#","tool_choice":"required""#)), "tool_choice");
        assert_eq!(with(CLAUDE, r#""tools":[],"tool_choice":"none""#, "toolConfig"), "");
    }

    const HISTORY: &str = r#"[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"1","function":
        {"name":"g.h","arguments":""}}]},{"role":"tool","tool_call_id":"1","content":"b"}]"#;

    #[test]
    fn no_call_is_asked_for_by_leaving_tools_out_where_that_can_be() {
        let tools = format!(r#","tools":[{}],"tool_choice":"none""#, tool("f", ""));
        assert_eq!(field(CLAUDE, "toolConfig", HI, &tools).unwrap(), "");
        let config = field(CLAUDE, "toolConfig", HISTORY, &tools).unwrap();
        assert!(config.contains(r#""name":"f""#) && !config.contains("toolChoice"), "{config}");
        let additional = field(CLAUDE, "additionalModelRequestFields", HISTORY, &tools).unwrap();
        assert_eq!(additional, r#"{"tool_choice":{"type":"none"}}"#);
        let body = format!(r#"{{"model":"m","messages":{HISTORY}{tools}}}"#);
        assert_eq!(written(&body, &target(NOVA)).unwrap().1.dropped, ["tool_choice"]);
    }

    #[test]
    fn tools_that_were_called_are_told_where_the_client_has_none_any_more() {
        let config = field(NOVA, "toolConfig", HISTORY, "").unwrap();
        assert_eq!(config, r#"{"tools":[{"toolSpec":{"name":"g_h","inputSchema":{"json":{"type":"object"}}}}]}"#);
    }

    #[test]
    fn names_have_a_way_back() {
        let tools = format!(r#","tools":[{},{}]"#, tool("g.h", ""), tool(&"n".repeat(65), ""));
        let body = format!(r#"{{"model":"m","messages":{HISTORY}{tools}}}"#);
        let (body, request) = written(&body, &target(CLAUDE)).unwrap();
        assert!(body.contains(r#""toolUse":{"toolUseId":"1","name":"g_h""#), "{body}");
        let own: Vec<_> = request.renamed.iter().map(|(_, own)| own.len()).collect();
        assert_eq!((own, request.renamed.iter().all(|(sent, _)| sent.len() <= 64)), (vec![3, 65], true));
    }
}
