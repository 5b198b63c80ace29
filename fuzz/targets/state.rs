//! Opaque state in the id of a tool call: it comes back as it was, and whatever a client made of it, the
//! request that it goes into holds to the rules of every request.
//!
//! Input: the model's character; the first of the state's tag; an id up to a line end; the state.
#![no_main]

use dragoman::chat::state::{self, MAX_PAYLOAD, State};
use dragoman::json::{self, Str};
use dragoman::route::Wishes;
use dragoman_fuzz::{MODEL, router, sent};
use libfuzzer_sys::fuzz_target;

/// Those that translators write.
const TAGS: &[&str] = &["a", "b", "co", "g", "m", "o", "q", "r"];

fuzz_target!(|input: &[u8]| {
    let [letter, tag, rest @ ..] = input else { return };
    let text = String::from_utf8_lossy(rest);
    let (own, payload) = text.split_once('\n').unwrap_or(("call_1", &text));
    let named = TAGS.iter().find(|known| known.as_bytes()[0] == *tag);
    let tag = named.copied().unwrap_or(TAGS[usize::from(*tag) % TAGS.len()]);

    let id = State { tag, payload: payload.into() }.attach(own);
    let id = json::escape(&id);
    let read = Str::parse(&id).expect("it is a string");
    if payload.is_empty() || payload.len() > MAX_PAYLOAD {
        assert_eq!(read.decode(), own);
    } else {
        assert_eq!(state::plain(read), own);
        assert_eq!(state::plain_json(read), Some(json::escape(own)));
        assert_eq!(state::carried(read, tag).as_deref(), Some(payload));
        assert!(TAGS.iter().all(|other| *other == tag || state::carried(read, other).is_none()));
        assert!(state::is_in(id.as_bytes()));
    }

    let again = json::escape(own);
    let body = format!(
        r#"{{"model":"{MODEL}","messages":[{{"role":"user","content":"hi"}},
        {{"role":"assistant","content":"so","tool_calls":[
        {{"id":{id},"type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}},
        {{"role":"tool","tool_call_id":{id},"content":"7"}},
        {{"role":"assistant","tool_calls":[
        {{"id":{again},"type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}},
        {{"role":"tool","tool_call_id":{again},"content":"8"}}],
        "tools":[{{"type":"function","function":{{"name":"f","parameters":{{"type":"object"}}}}}}]}}"#
    );
    sent::check(router(*letter), body.as_bytes(), &Wishes::default());
});
