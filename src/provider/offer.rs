//! Tools as a client asks for them, whoever is asked: which are offered, and whether one must be called.

use super::distinct::{Rule, ToolNames};
use crate::chat::ChatRequest;
use crate::chat::request::{Message, Tool, ToolChoice};
use crate::error::Rejection;
use crate::json::Str;
use crate::places::Places;

/// Which tools are offered, and whether the model has to call one.
pub struct Offer<'a> {
    /// Each with its place in the client's list. With `allowed_tools` those alone.
    pub tools: Vec<(usize, Tool<'a>)>,
    pub choice: Choice,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nothing is said, or that the model is free.
    Auto,
    None,
    Required,
    /// This tool, by its place in [`Offer::tools`].
    Named(usize),
}

impl<'a> Offer<'a> {
    pub fn read(chat: &ChatRequest<'a>) -> Result<Self, Rejection> {
        let tools = chat.tools()?;
        let choice = chat.tool_choice()?;
        if tools.is_empty() {
            // `auto` and `none` ask for nothing that is not so without tools.
            return match choice {
                None | Some(ToolChoice::None | ToolChoice::Auto) => Ok(Offer { tools: vec![], choice: Choice::Auto }),
                Some(_) => Err(Rejection::invalid("tool_choice", "'tool_choice' needs 'tools'.")),
            };
        }
        if let Some(index) = tools.iter().position(|tool| tool.name.is_empty()) {
            return Err(Rejection::invalid(format!("tools[{index}].function.name"), "The name of a tool is empty."));
        }
        let places = Places::of(tools.iter().map(|tool| tool.name.decode()));
        let place = |name: &Str<'_>| {
            let name = name.decode();
            let unknown = || {
                let text = format!("There is no tool '{name}' among the 'tools'.");
                Rejection::invalid("tool_choice", text)
            };
            places.get(&name).ok_or_else(unknown)
        };
        let mut allowed = None;
        let choice = match &choice {
            None | Some(ToolChoice::Auto) => Choice::Auto,
            Some(ToolChoice::None) => Choice::None,
            Some(ToolChoice::Required) => Choice::Required,
            Some(ToolChoice::Named(name)) => Choice::Named(place(name)?),
            Some(ToolChoice::Allowed { names, .. }) if names.is_empty() => {
                return Err(Rejection::invalid("tool_choice.allowed_tools.tools", "No tool is allowed."));
            }
            Some(ToolChoice::Allowed { names, required }) => {
                let mut are_allowed = vec![false; tools.len()];
                for name in names {
                    are_allowed.get_mut(place(name)?).into_iter().for_each(|it| *it = true);
                }
                allowed = Some(are_allowed);
                if *required { Choice::Required } else { Choice::Auto }
            }
        };
        let is_allowed = |place: &usize| allowed.as_ref().is_none_or(|allowed| allowed.get(*place) == Some(&true));
        let tools = tools.into_iter().enumerate().filter(|(place, _)| is_allowed(place)).collect();
        Ok(Offer { tools, choice })
    }

    /// How the tools are named where they are sent, and those that were called before.
    pub fn names(&self, rule: Rule, reserved: &[&str], messages: &[Message<'a>]) -> ToolNames {
        let called = messages.iter().flat_map(|message| &message.tool_calls).map(|call| call.name);
        ToolNames::without(reserved, rule, self.tools.iter().map(|(_, tool)| tool.name).chain(called))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(rest: &str) -> String {
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{rest}}}"#)
    }

    fn tools(names: &[&str]) -> String {
        let tools = names.iter().map(|name| format!(r#"{{"type":"function","function":{{"name":"{name}"}}}}"#));
        format!(r#","tools":[{}]"#, tools.collect::<Vec<_>>().join(","))
    }

    fn offer(rest: &str) -> Result<(Vec<usize>, Choice), Rejection> {
        let body = chat(&format!("{}{rest}", tools(&["f", "g"])));
        let offer = Offer::read(&ChatRequest::parse(body.as_bytes()).unwrap())?;
        Ok((offer.tools.iter().map(|(place, _)| *place).collect(), offer.choice))
    }

    #[test]
    fn a_choice_of_tools_is_read_in_all_its_forms() {
        let named = |name: &str| format!(r#"{{"type":"function","function":{{"name":"{name}"}}}}"#);
        let allowed = |mode: &str, names: &str| {
            format!(
                r#","tool_choice":{{"type":"allowed_tools","allowed_tools":{{"mode":"{mode}","tools":[{names}]}}}}"#
            )
        };
        assert_eq!(offer(""), Ok((vec![0, 1], Choice::Auto)));
        assert_eq!(offer(r#","tool_choice":"none""#), Ok((vec![0, 1], Choice::None)));
        assert_eq!(offer(r#","tool_choice":"required""#), Ok((vec![0, 1], Choice::Required)));
        assert_eq!(offer(&format!(r#","tool_choice":{}"#, named("g"))), Ok((vec![0, 1], Choice::Named(1))));
        assert_eq!(offer(&allowed("auto", &named("g"))), Ok((vec![1], Choice::Auto)));
        assert_eq!(offer(&allowed("required", &named("g"))), Ok((vec![1], Choice::Required)));
        for bad in [allowed("auto", ""), allowed("auto", &named("h")), format!(r#","tool_choice":{}"#, named("h"))] {
            assert!(offer(&bad).is_err(), "{bad}");
        }
        let body = chat(r#","tool_choice":"required""#);
        assert!(Offer::read(&ChatRequest::parse(body.as_bytes()).unwrap()).is_err());
    }
}
