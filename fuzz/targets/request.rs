//! A client's bytes become a plan and the requests of its attempts.
//!
//! Input: a character whose bit 0 says strict and bit 1 that the answer is held back, then the body.
#![no_main]

use std::borrow::Cow;

use dragoman::attempt::Attempt;
use dragoman::chat::ChatRequest;
use dragoman::config::Commit;
use dragoman::endpoint;
use dragoman::error::ErrorReply;
use dragoman::headers::Headers;
use dragoman::json::{self, Object, Str};
use dragoman::route::Wishes;
use dragoman_fuzz::{check_headers, reader};
use libfuzzer_sys::fuzz_target;

const PATH: &str = "/v1/chat/completions";

fuzz_target!(|input: &[u8]| {
    let Some((how, body)) = input.split_first() else { return };
    let commit = (how & 2 != 0).then_some(Commit::Complete);
    let wishes = Wishes { strict: how & 1 != 0, commit, ..Wishes::default() };
    let chat = match ChatRequest::parse(body) {
        Ok(chat) => chat,
        Err(rejection) => return refusal(&rejection.reply()),
    };
    let plan = match dragoman_fuzz::plan(&chat, &wishes) {
        Ok(plan) => plan,
        Err(reply) => return refusal(&reply),
    };
    let again = dragoman_fuzz::plan(&chat, &wishes).expect("a plan is made again");
    assert!(again == plan, "planning twice gives the same plan");
    assert!(json::is_valid(&plan.to_json()));
    assert!(!plan.candidates.is_empty());
    for candidate in 0..plan.candidates.len() {
        let attempt = Attempt::new(&plan, candidate).expect("every candidate can be tried");
        let written = attempt.body(body).expect("the route stage has seen that it can be written");
        assert!(attempt.body(body).unwrap() == written, "translating twice gives the same bytes");
        check_headers(&attempt.headers(written.len()));
        assert!(std::str::from_utf8(&written).is_ok() && json::is_valid(&written));
        let fields = Object::parse(&written).expect("a request is an object");
        let model = fields.get("model").and_then(Str::new).expect("a request names its model");
        assert_eq!(model.decode(), attempt.target().id.as_str());
        match attempt.edits() {
            Some(edits) => {
                assert!(edits.apply(body) == written, "edits are the body");
                assert_eq!(body.len().checked_add_signed(edits.growth()), Some(written.len()));
                let (head, tail) = body.split_at(edits.end());
                assert!([&edits.apply(head), tail].concat() == written, "what lies behind the edits is not read");
                only_edited(&chat, &fields);
            }
            None => {
                assert_eq!(attempt.target().kind, "anthropic");
                assert_eq!(fields.repeated(|_| true), None);
                assert!(fields.get("max_tokens").is_some() && fields.get("messages").is_some());
                assert!(written.len() <= 8 * body.len() + 4096, "{} of {}", written.len(), body.len());
            }
        }
        check_dropped(&plan.candidates[candidate].dropped);
    }
});

/// Apart from the model and the wish for usage, all fields are there in their order and as they were.
fn only_edited(chat: &ChatRequest<'_>, written: &Object<'_>) {
    let other = |(key, _): &(&str, _)| !matches!(*key, "model" | "stream_options");
    let before = Object::parse(chat.body).unwrap();
    let mut before = before.iter().filter(other);
    let mut after = written.iter().filter(other);
    loop {
        match (before.next(), after.next()) {
            (None, None) => break,
            (Some((a, b)), Some((c, d))) if a == c && b.get() == d.get() => {}
            (a, b) => panic!("{a:?} became {b:?}"),
        }
    }
    if chat.stream {
        let options = Object::parse(written.get("stream_options").unwrap().get().as_bytes()).unwrap();
        assert_eq!(options.get("include_usage").unwrap().get(), "true");
    }
}

/// They are joined into a header.
fn check_dropped(dropped: &[Cow<'static, str>]) {
    let mut headers = Headers::default();
    headers.push("x-dragoman-dropped", dropped.join(","));
    check_headers(&headers);
}

fn refusal(reply: &ErrorReply) {
    assert!((400..500).contains(&reply.status), "{reply:?}");
    let mut headers = Headers::default();
    headers.push("content-type", "application/json");
    let body = endpoint::named(PATH).error(reply, &[]);
    reader::read(reply.status, &headers, &body).unwrap();
}
