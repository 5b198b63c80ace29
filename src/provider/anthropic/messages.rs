//! The conversation: Anthropic's turns alternate, begin with the user, hold no empty text, and answer every
//! tool call in the very next turn (Messages API; tool use, handling results). OpenAI's messages need none
//! of that.

use super::cache::{self, Marks};
use super::{content, thinking, tools};
use crate::chat::request::{Content, Message, Part, ResponseFormat, Role, ToolCall};
use crate::error::Rejection;
use crate::json::Writer;
use crate::provider::Target;
use crate::provider::distinct::{Distinct, ToolNames};
use crate::provider::parameters;
use crate::provider::turns::{self, Calls, Turn, is_blank, says_anything, says_part};

/// What the blocks of a conversation depend on.
pub struct Conversation<'c> {
    pub marks: &'c Marks,
    pub names: &'c ToolNames,
    /// The target, if the thinking of earlier turns goes back to it.
    pub thinks: Option<&'c Target>,
}

impl Conversation<'_> {
    pub fn write_system(
        &self,
        w: &mut Writer,
        messages: &[Message<'_>],
        format: &ResponseFormat<'_>,
    ) -> Result<(), Rejection> {
        let in_json = matches!(format, ResponseFormat::JsonObject);
        if !in_json && !messages.iter().any(says_anything) {
            return Ok(());
        }
        w.key("system").begin_array();
        for message in messages {
            content::write(w, message, self.marks)?;
        }
        if in_json {
            w.begin_object().key("type").string("text").key("text").string(parameters::ANSWER_IN_JSON).end_object();
        }
        w.end_array();
        Ok(())
    }

    pub fn write(&self, w: &mut Writer, turns: &[Turn<'_, '_>]) -> Result<(), Rejection> {
        let mut ids = Distinct::new(tools::CALL_IDS);
        let mut calls = Calls::default();
        w.key("messages").begin_array();
        for turn in turns {
            w.begin_object().key("role").string(if turn.assistant { "assistant" } else { "user" });
            w.key("content").begin_array();
            if turn.assistant {
                self.write_answer(w, turn, &mut ids, &mut calls)?;
            } else {
                // Results come first, in the order of the calls, whatever the client's order.
                for (call, message) in std::mem::take(&mut calls).answered_by(&turn.messages)? {
                    self.write_result(w, message, &call.id)?;
                }
                for message in turn.messages.iter().filter(|message| message.role != Role::Tool) {
                    content::write(w, message, self.marks)?;
                }
            }
            w.end_array().end_object();
        }
        w.end_array();
        calls.answered_by(&[]).map(drop)
    }

    /// A turn of the model. Its thinking comes first, or else none of it is worth anything.
    fn write_answer<'a>(
        &self,
        w: &mut Writer,
        turn: &Turn<'_, 'a>,
        ids: &mut Distinct,
        calls: &mut Calls<'a>,
    ) -> Result<(), Rejection> {
        let before_turn = self.thinks.and_then(|target| thinking::before_turn(turn, target));
        let thinks = self.thinks.filter(|_| before_turn.is_some());
        if let Some(blocks) = &before_turn {
            w.raw(blocks);
        }
        let mut is_first = true;
        for message in &turn.messages {
            content::write(w, message, self.marks)?;
            let last = message.tool_calls.len().saturating_sub(1);
            for (index, call) in message.tool_calls.iter().enumerate() {
                if !std::mem::take(&mut is_first)
                    && let Some(blocks) = thinks.and_then(|target| thinking::before_call(call, target))
                {
                    w.raw(&blocks);
                }
                let id = turns::call_id(ids, call.id);
                self.write_call(w, call, &id, index == last, message.index)?;
                calls.add(call, id, format!("messages[{}].tool_calls[{index}]", message.index))?;
            }
        }
        Ok(())
    }

    fn write_call(
        &self,
        w: &mut Writer,
        call: &ToolCall<'_>,
        id: &str,
        is_last: bool,
        message: usize,
    ) -> Result<(), Rejection> {
        let input = turns::arguments(call);
        w.begin_object().key("type").string("tool_use").key("id").string(id);
        w.key("name").raw(&self.names.sent(call.name)).key("input").raw(&input);
        cache::write(w, self.marks.message(message).filter(|_| is_last));
        w.end_object();
        Ok(())
    }

    fn write_result(&self, w: &mut Writer, message: &Message<'_>, id: &str) -> Result<(), Rejection> {
        w.begin_object().key("type").string("tool_result").key("tool_use_id").string(id);
        let mut is_error = turns::is_error(message);
        match &message.content {
            Content::Text(text) if !is_error || !is_blank(*text) => {
                w.key("content").str(*text);
            }
            Content::Parts(parts) if parts.iter().any(says_part) => {
                w.key("content").begin_array();
                content::write_nested(w, message, parts)?;
                w.end_array();
                // "all content must be type 'text' if 'is_error' is true"
                is_error &= parts.iter().all(|part| matches!(part, Part::Text(_) | Part::Refusal(_)));
            }
            // "content cannot be empty if is_error is true"
            _ if is_error => {
                w.key("content").string("error");
            }
            _ => {}
        }
        if is_error {
            w.key("is_error").bool(true);
        }
        cache::write(w, self.marks.within(message.index));
        w.end_object();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::anthropic::request::tests::{field, refused};

    fn messages(messages: &str) -> Result<String, Rejection> {
        field("messages", messages, "")
    }

    fn calls(ids: &[&str]) -> String {
        let calls = ids.iter().map(|id| {
            format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{\"n\": 1.0}}"}}}}"#)
        });
        format!(r#"{{"role":"assistant","content":null,"tool_calls":[{}]}}"#, calls.collect::<Vec<_>>().join(","))
    }

    fn result(id: &str) -> String {
        format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"of {id}"}}"#)
    }

    #[test]
    fn leading_system_messages_become_system_and_later_ones_keep_their_place() {
        let list = r#"[{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b\n"},
            {"type":"text","text":""}]},{"role":"user","content":"c"},{"role":"assistant","content":"d"},
            {"role":"system","content":"e"},{"role":"user","content":"f"}]"#;
        let system = r#"[{"type":"text","text":"a"},{"type":"text","text":"b\n"}]"#;
        assert_eq!(field("system", list, "").unwrap(), system);
        let expected = concat!(
            r#"[{"role":"user","content":[{"type":"text","text":"c"}]},"#,
            r#"{"role":"assistant","content":[{"type":"text","text":"d"}]},"#,
            r#"{"role":"user","content":[{"type":"text","text":"e"},{"type":"text","text":"f"}]}]"#
        );
        assert_eq!(messages(list).unwrap(), expected);
    }

    #[test]
    fn system_messages_alone_are_the_conversation() {
        let list = r#"[{"role":"system","content":"a"}]"#;
        assert_eq!(messages(list).unwrap(), r#"[{"role":"user","content":[{"type":"text","text":"a"}]}]"#);
        assert_eq!(field("system", list, "").unwrap(), "");
    }

    #[test]
    fn a_conversation_begins_with_the_user_and_says_something() {
        let assistant = r#"[{"role":"system","content":"a"},{"role":"assistant","content":"b"}]"#;
        assert_eq!(refused(messages(assistant)), "messages[1].role");
        assert_eq!(refused(messages(r#"[{"role":"user","content":" \n\u00a0"}]"#)), "messages");
    }

    #[test]
    fn messages_of_one_role_are_one_turn_and_empty_ones_none() {
        let list = r#"[{"role":"user","content":"a"},{"role":"user","content":[]},{"role":"assistant","content":" "},
            {"role":"user","content":"b"},{"role":"assistant","content":null,"refusal":"no"},
            {"role":"assistant","content":[{"type":"refusal","refusal":"never"},{"type":"text","text":"\n\t"}]}]"#;
        let expected = concat!(
            r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},"#,
            r#"{"role":"assistant","content":[{"type":"text","text":"no"},{"type":"text","text":"never"}]}]"#
        );
        assert_eq!(messages(list).unwrap(), expected);
    }

    #[test]
    fn results_come_first_and_in_the_order_of_the_calls() {
        let list = format!(
            r#"[{{"role":"user","content":"go"}},{},{},{{"role":"system","content":"s"}},{},{{"role":"user","content":"u"}}]"#,
            calls(&["a", "b"]),
            result("b"),
            result("a")
        );
        let expected = concat!(
            r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{"n": 1.0}},"#,
            r#"{"type":"tool_use","id":"b","name":"f","input":{"n": 1.0}}]},{"role":"user","content":["#,
            r#"{"type":"tool_result","tool_use_id":"a","content":"of a"},"#,
            r#"{"type":"tool_result","tool_use_id":"b","content":"of b"},"#,
            r#"{"type":"text","text":"s"},{"type":"text","text":"u"}]}]"#
        );
        let list = messages(&list).unwrap();
        assert!(list.ends_with(expected), "{list}");
    }

    #[test]
    fn every_call_has_one_result_and_every_result_a_call() {
        let list = |rest: &[String]| format!(r#"[{{"role":"user","content":"go"}},{}]"#, rest.join(","));
        let (a, ab) = (calls(&["a"]), calls(&["a", "b"]));
        assert_eq!(refused(messages(&list(std::slice::from_ref(&a)))), "messages[1].tool_calls[0]");
        assert_eq!(refused(messages(&list(&[ab, result("a")]))), "messages[1].tool_calls[1]");
        assert_eq!(refused(messages(&list(&[result("a")]))), "messages[1].tool_call_id");
        assert_eq!(refused(messages(&list(&[a.clone(), result("x")]))), "messages[2].tool_call_id");
        assert_eq!(refused(messages(&list(&[a, result("a"), result("a")]))), "messages[3].tool_call_id");
        assert_eq!(refused(messages(&list(&[calls(&["a", "a"]), result("a")]))), "messages[1].tool_calls[1].id");
    }

    #[test]
    fn call_ids_fit_and_stay_different() {
        let list = format!(
            r#"[{{"role":"user","content":"go"}},{},{},{},{}]"#,
            calls(&["x/1"]),
            result("x/1"),
            calls(&["x.1"]),
            result("x.1")
        );
        let list = messages(&list).unwrap();
        assert!(list.contains(r#""tool_use_id":"x_1","content":"of x/1""#), "{list}");
        assert!(list.contains(r#""tool_use_id":"x_1_2","content":"of x.1""#), "{list}");
    }

    #[test]
    fn arguments_are_an_object_or_told_in_one() {
        let list = |arguments: &str| {
            messages(&format!(
                r#"[{{"role":"user","content":"go"}},{{"role":"assistant","tool_calls":[{{"id":"a",
                "function":{{"name":"f","arguments":{arguments}}}}}]}},{}]"#,
                result("a")
            ))
        };
        let long = r#""{\"b\":12345678901234567890.10,\"a\":\"\\u00e9\"}""#;
        assert!(list(long).unwrap().contains(r#""input":{"b":12345678901234567890.10,"a":"\u00e9"}"#));
        assert!(list(r#""{""#).unwrap().contains(r#""input":{"_raw":"{"}"#));
    }

    #[test]
    fn results_may_have_parts_an_error_flag_or_nothing() {
        let list = |fields: &str| {
            let list = format!(
                r#"[{{"role":"user","content":"go"}},{},{{"role":"tool","tool_call_id":"a"{fields}}}]"#,
                calls(&["a"])
            );
            let list = messages(&list).unwrap();
            list.split_once(r#""tool_use_id":"a""#).unwrap().1.to_owned()
        };
        assert_eq!(list(""), "}]}]");
        assert_eq!(list(r#","content":[{"type":"text","text":""}]"#), "}]}]");
        assert_eq!(list(r#","content":"""#), r#","content":""}]}]"#);
        for nothing in ["", r#","content":" ""#, r#","content":[]"#] {
            assert_eq!(list(&format!(r#"{nothing},"is_error":true"#)), r#","content":"error","is_error":true}]}]"#);
        }
        assert_eq!(list(r#","content":"no","is_error":true"#), r#","content":"no","is_error":true}]}]"#);
        let image = r#","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"https://h/i"}}]"#;
        for error in ["", r#","is_error":true"#] {
            assert_eq!(
                list(&format!("{image}{error}")),
                concat!(
                    r#","content":[{"type":"text","text":"x"},"#,
                    r#"{"type":"image","source":{"type":"url","url":"https://h/i"}}]}]}]"#
                )
            );
        }
    }

    fn image(url: &str) -> Result<String, Rejection> {
        let part = format!(r#"{{"type":"image_url","image_url":{{"url":"{url}","detail":"high"}}}}"#);
        let list = messages(&format!(r#"[{{"role":"user","content":[{part}]}}]"#))?;
        Ok(list.split_once(r#""source":"#).unwrap().1.trim_end_matches("}]}]").to_owned())
    }

    #[test]
    fn images_keep_their_data_and_get_a_known_type() {
        let png = r#"{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo+/w=="}"#;
        for url in [
            "data:image/png;base64,iVBORw0KGgo+/w==",
            r"data:image\/png;base64,iVBORw0KGgo+\/w==",
            "DATA:Image/PNG;name=x;Base64,iVBORw0KGgo+/w==",
            "data:;base64,iVBORw0KGgo+/w==",
        ] {
            assert_eq!(image(url).unwrap(), png, "{url}");
        }
        assert!(image("data:image/jpg;base64,AAAA").unwrap().contains("image/jpeg"));
        assert_eq!(image(r"HTTPS:\/\/h/i?a=b").unwrap(), r#"{"type":"url","url":"HTTPS:\/\/h/i?a=b"}"#);
    }

    #[test]
    fn what_is_no_such_image_is_refused() {
        for url in [
            "data:image/svg+xml;base64,AAAA",
            "data:image/png,AAAA",
            "data:image/png;base64,",
            "data:image/png;base64",
            r"data:image/png;base64,AA\nAA",
            r#"data:image/png;base64,AA\"AA"#,
            "data:image/png;base64,AA-_",
            "data:;base64,AAAA",
            "file:///etc/passwd",
            "gs://b/o",
            "x",
            "",
        ] {
            assert_eq!(refused(image(url)), "messages[0].content[0].image_url.url", "{url}");
        }
        let of = |role: &str| {
            let part = r#"{"type":"image_url","image_url":{"url":"https://h/i"}}"#;
            messages(&format!(r#"[{{"role":"user","content":"x"}},{{"role":"{role}","content":[{part}]}}]"#))
        };
        assert_eq!(refused(of("assistant")), "messages[1].content[0]");
    }

    #[test]
    fn parts_without_an_equivalent_are_refused_at_their_place() {
        for kind in ["input_audio", "hologram"] {
            let list = format!(r#"[{{"role":"user","content":[{{"type":"text","text":"a"}},{{"type":"{kind}"}}]}}]"#);
            let rejection = messages(&list).unwrap_err();
            assert_eq!(rejection.param.as_deref(), Some("messages[0].content[1]"));
            assert_eq!(rejection.code, "unsupported_parameter");
        }
        let function = r#"[{"role":"user","content":"a"},{"role":"function","name":"f","content":"b"}]"#;
        assert_eq!(refused(messages(function)), "messages[1].role");
        let call = r#"[{"role":"user","content":"a"},{"role":"assistant","function_call":{"name":"f"}}]"#;
        assert_eq!(refused(messages(call)), "messages[1].function_call");
    }

    fn part(part: &str) -> Result<String, Rejection> {
        let list = messages(&format!(r#"[{{"role":"user","content":[{part}]}}]"#))?;
        Ok(list.trim_start_matches(r#"[{"role":"user","content":["#).trim_end_matches("]}]").to_owned())
    }

    #[test]
    fn files_become_documents_and_keep_what_is_said_of_them() {
        let pdf = r#"{"type":"file","file":{"filename":"a \"b\".pdf","file_data":"data:application/pdf;base64,JVBERi0="},
            "context":"c","citations":{"enabled":true},"cache_control":{"type":"ephemeral","ttl":"1h"}}"#;
        assert_eq!(
            part(pdf).unwrap(),
            concat!(
                r#"{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBERi0="},"#,
                r#""title":"a \"b\".pdf","context":"c","citations":{"enabled":true},"#,
                r#""cache_control":{"type":"ephemeral","ttl":"1h"}}"#
            )
        );
        let text = r#"{"type":"file","file":{"file_data":"data:text/csv;base64,w6ksIgo="}}"#;
        let document = r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"é,\"\n"}}"#;
        assert_eq!(part(text).unwrap(), document);
        let image = r#"{"type":"file","file":{"file_data":"data:image/png;base64,AAAA"}}"#;
        let block = r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}"#;
        assert_eq!(part(image).unwrap(), block);
        let own = r#"{"type":"document","source":{"type":"file","file_id":"file_1"},"title":"t"}"#;
        assert_eq!(part(r#"{"type":"file","title":"t","file":{"file_id":"file_1"}}"#).unwrap(), own);
        let url = r#"{"type":"document","source":{"type":"url","url":"https://h/a.pdf"}}"#;
        assert_eq!(part(r#"{"type":"file","file":{"file_url":"https://h/a.pdf"}}"#).unwrap(), url);
        let native = r#"{"type":"document", "source":{"type":"text","data":"a"} ,"cache_control":{}}"#;
        let marked = r#"{"type":"document","source":{"type":"text","data":"a"},"cache_control":{"type":"ephemeral"}}"#;
        assert_eq!(part(native).unwrap(), marked);
    }

    #[test]
    fn files_that_cannot_be_read_are_refused_at_their_place() {
        for (file, at) in [
            (r#"{"file_data":"data:application/zip;base64,AAAA"}"#, "file_data"),
            (r#"{"file_data":"AAAA"}"#, "file_data"),
            (r#"{"file_data":"data:text/plain;base64,/w=="}"#, "file_data"),
            (r#"{"file_data":"data:image/bmp;base64,AAAA"}"#, "file_data"),
            (r#"{"file_id":"file-abc"}"#, "file_id"),
            (r#"{"file_url":"gs://b/o"}"#, "file_url"),
        ] {
            let problem = refused(part(&format!(r#"{{"type":"file","file":{file}}}"#)));
            assert_eq!(problem, format!("messages[0].content[0].file.{at}"), "{file}");
        }
        let assistant = r#"[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"file","file":{}}]}]"#;
        assert_eq!(refused(messages(assistant)), "messages[1].content[0]");
    }

    #[test]
    fn marks_stand_on_the_blocks_they_were_put_on_or_on_the_last_of_a_message() {
        let list = r#"[{"role":"system","content":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}]},
            {"role":"user","content":[{"type":"text","text":"u"},{"type":"text","text":" "}],"cache_control":{}},
            {"role":"assistant","content":"a","cache_control":{},"tool_calls":[{"id":"t","function":{"name":"f"}}]},
            {"role":"tool","tool_call_id":"t","content":[{"type":"text","text":"r","cache_control":{}}]}]"#;
        let mark = r#","cache_control":{"type":"ephemeral"}}"#;
        assert_eq!(field("system", list, "").unwrap(), format!(r#"[{{"type":"text","text":"s"{mark}]"#));
        let expected = format!(
            concat!(
                r#"[{{"role":"user","content":[{{"type":"text","text":"u"{mark}]}},"#,
                r#"{{"role":"assistant","content":[{{"type":"text","text":"a"}},"#,
                r#"{{"type":"tool_use","id":"t","name":"f","input":{{}}{mark}]}},"#,
                r#"{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t","#,
                r#""content":[{{"type":"text","text":"r"}}]{mark}]}}]"#
            ),
            mark = mark
        );
        assert_eq!(messages(list).unwrap(), expected);
    }

    #[test]
    fn a_called_tool_keeps_the_name_that_was_sent_for_it() {
        let list = format!(
            r#"[{{"role":"user","content":"go"}},{},{}]"#,
            calls(&["a"]).replace("\"f\"", "\"f.g\""),
            result("a")
        );
        assert!(messages(&list).unwrap().contains(r#""name":"f_g""#));
    }
}
