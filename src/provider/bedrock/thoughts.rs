//! Thoughts that a model has signed, and wants back before the calls that came of them.
//!
//! They ride on the ids of those calls (see [`state`]), behind the name of the model: a signature is good for the
//! model that gave it and refused by others (preserved thinking, switching models). Only Claude's are signed; nobody
//! asks for others.

use std::borrow::Cow;

use crate::chat::State;
use crate::chat::state::{self, MAX_PAYLOAD};
use crate::json::{self, Object, RawValue, Str, Type};

/// Whose the state in the ids of calls is.
const TAG: &str = "b";

/// A model's name without what it is where it is called: `us.anthropic.claude-x` is `anthropic.claude-x`.
fn name(id: &str) -> &str {
    let id = id.split('?').next().unwrap_or_default();
    id.find("anthropic.").and_then(|at| id.get(at..)).unwrap_or(id)
}

/// The blocks that a call carries for a model of this id, as Bedrock gave them.
pub fn carried(call: Str<'_>, id: &str) -> Option<Vec<String>> {
    let payload = state::carried(call, TAG)?;
    let list = json::elements(json::parse_str(&payload).ok()?)?;
    let (model, blocks) = list.split_first()?;
    let is_thought = |block: &&&RawValue| {
        let fields = Object::of(block).unwrap_or_default();
        let content = fields.get("reasoningContent").filter(|content| json::type_of(content) == Type::Object);
        content.is_some() && fields.iter().count() == 1
    };
    if Str::new(model)?.decode() != name(id) || blocks.is_empty() || !blocks.iter().all(|block| is_thought(&block)) {
        return None;
    }
    Some(blocks.iter().map(|block| block.get().to_owned()).collect())
}

/// Collects the thoughts of one answer.
pub struct Thoughts {
    model: String,
    /// The blocks since the last call, as JSON, a comma before each.
    blocks: String,
}

impl Thoughts {
    pub fn new(id: &str) -> Self {
        Thoughts { model: json::escape(name(id)), blocks: String::new() }
    }

    /// Both are escaped already.
    pub fn add(&mut self, text: &str, signature: &str) {
        if !signature.is_empty() {
            self.push(&[r#"{"reasoningText":{"text":""#, text, r#"","signature":""#, signature, r#""}}"#]);
        }
    }

    pub fn add_redacted(&mut self, data: &str) {
        if !data.is_empty() {
            self.push(&[r#"{"redactedContent":""#, data, r#""}"#]);
        }
    }

    /// More than an id can carry is not kept, and then none of it: a part would be refused.
    fn push(&mut self, block: &[&str]) {
        if self.blocks.len() > MAX_PAYLOAD {
            return;
        }
        self.blocks.push_str(r#",{"reasoningContent":"#);
        block.iter().for_each(|piece| self.blocks.push_str(piece));
        self.blocks.push('}');
    }

    /// What there is since the last call.
    pub fn take(&mut self) -> Option<State<'static>> {
        if self.blocks.is_empty() {
            return None;
        }
        let payload = format!("[{}{}]", self.model, std::mem::take(&mut self.blocks));
        Some(State { tag: TAG, payload: Cow::Owned(payload) })
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An id with thoughts, as JSON.
    pub fn thinking(call: &str, payload: &str) -> String {
        State { tag: TAG, payload: payload.into() }.attach(call)
    }

    fn read(call: &str, id: &str) -> Option<Vec<String>> {
        let text = json::escape(call);
        carried(Str::parse(&text).unwrap(), id)
    }

    #[test]
    fn thoughts_come_back_as_they_were_to_the_model_that_had_them() {
        let mut thoughts = Thoughts::new("us.anthropic.claude-a-v1:0");
        assert_eq!(thoughts.take(), None);
        thoughts.add("unsigned", "");
        assert_eq!(thoughts.take(), None);
        thoughts.add("a\\n", "s+");
        thoughts.add_redacted("cg==");
        let call = thoughts.take().unwrap().attach("t");
        assert_eq!(thoughts.take(), None);
        let blocks = [
            r#"{"reasoningContent":{"reasoningText":{"text":"a\n","signature":"s+"}}}"#,
            r#"{"reasoningContent":{"redactedContent":"cg=="}}"#,
        ];
        let expected = Some(blocks.map(str::to_owned).to_vec());
        assert_eq!(read(&call, "us.anthropic.claude-a-v1:0"), expected);
        assert_eq!(read(&call, "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-a-v1:0"), expected);
        assert_eq!(read(&call, "us.anthropic.claude-b-v1:0"), None);
    }

    #[test]
    fn what_a_client_has_made_of_them_is_none() {
        for payload in [
            "[",
            "{}",
            "[]",
            r#"["m"]"#,
            r#"["m",1]"#,
            r#"["m",{"text":"x"}]"#,
            r#"["m",{"reasoningContent":1}]"#,
            r#"["m",{"reasoningContent":{},"a":1}]"#,
            r#"[7,{"reasoningContent":{}}]"#,
        ] {
            assert_eq!(read(&thinking("t", payload), "m"), None, "{payload}");
        }
        assert!(read(&thinking("t", r#"["m",{"reasoningContent":{}}]"#), "m").is_some());
    }

    #[test]
    fn more_than_an_id_can_carry_is_none_of_it() {
        let mut thoughts = Thoughts::new("m");
        thoughts.add(&"x".repeat(MAX_PAYLOAD + 1), "s");
        thoughts.add("y", "s");
        assert_eq!(thoughts.take().unwrap().attach("t"), "t");
    }
}
