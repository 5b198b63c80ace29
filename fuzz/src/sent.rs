//! What must hold of every request that is written from a client's.

use std::borrow::Cow;

use dragoman::attempt::Attempt;
use dragoman::chat::{ChatRequest, state};
use dragoman::endpoint;
use dragoman::error::ErrorReply;
use dragoman::headers::Headers;
use dragoman::json::{self, Object, Str};
use dragoman::route::{Router, Wishes};

use crate::{PATH, check_headers, plan, reader};

/// A client's bytes become a plan and the requests of its attempts, or a refusal that says why.
pub fn check(router: &Router, body: &[u8], wishes: &Wishes) {
    let chat = match ChatRequest::parse(body) {
        Ok(chat) => chat,
        Err(rejection) => return refusal(&rejection.reply()),
    };
    let made = match plan(router, &chat, wishes) {
        Ok(made) => made,
        Err(reply) => return refusal(&reply),
    };
    let again = plan(router, &chat, wishes).expect("a plan is made again");
    assert!(again == made, "planning twice gives the same plan");
    assert!(json::is_valid(&made.to_json()));
    assert!(!made.candidates.is_empty());
    for candidate in 0..made.candidates.len() {
        let attempt = Attempt::new(&made, candidate).expect("every candidate can be tried");
        let written = attempt.body(body).expect("the route stage has seen that it can be written");
        assert!(attempt.body(body).unwrap() == written, "translating twice gives the same bytes");
        let headers = attempt.headers(written.len());
        check_headers(&headers);
        assert!(std::str::from_utf8(&written).is_ok() && json::is_valid(&written));
        let fields = Object::parse(&written).expect("a request is an object");
        assert_eq!(fields.repeated(|_| true), None, "{}", String::from_utf8_lossy(&written));
        names_its_model(&attempt, &headers, &fields);
        match attempt.edits() {
            Some(edits) => {
                assert!(edits.apply(body) == written, "edits are the body");
                assert_eq!(body.len().checked_add_signed(edits.growth()), Some(written.len()));
                let (head, tail) = body.split_at(edits.end());
                assert!([&edits.apply(head), tail].concat() == written, "what lies behind the edits is not read");
                if attempt.target().kind == "openai" {
                    only_edited(&chat, &fields);
                }
            }
            None => assert!(written.len() <= 8 * body.len() + 4096, "{} of {}", written.len(), body.len()),
        }
        check_dropped(&made.candidates[candidate].dropped);
    }
}

/// In the body or in the path, where there is nothing else that a client has a say in.
fn names_its_model(attempt: &Attempt<'_>, headers: &Headers, fields: &Object<'_>) {
    let id = attempt.target().id.as_str();
    match fields.get("model").or(fields.get("model_id")).and_then(Str::new) {
        Some(model) => assert_eq!(model.decode(), id),
        None => {
            let path = headers.get(":path").expect("a request has a path").replace("%3A", ":");
            assert!(path.contains(id), "{path}");
        }
    }
}

/// Apart from the model, the wish for usage and state in the ids of calls, all fields are there in their order
/// and as they were.
fn only_edited(chat: &ChatRequest<'_>, written: &Object<'_>) {
    let has_state = state::is_in(chat.body);
    let other = |(key, _): &(&str, _)| match *key {
        "model" | "stream_options" => false,
        "messages" => !has_state,
        _ => true,
    };
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
