//! Where requests go and why, on two workers: needs, shares, retirement, and the explanation.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use dragoman::config::registry::Date;
use serde_json::{Value, json};

use crate::client::chat;
use crate::counting::after;
use crate::world::{Document, Session, marker, own, shown, together};

/// Models of the two fakes with facts of their own, and routes over them.
fn world() -> Session {
    own(
        "routing",
        |mut document: Document<'_>| {
            for (name, provider, facts) in [
                ("plain", "openai", json!({"capabilities": ["tools"], "price": {"input": 1, "output": 2}})),
                (
                    "rich",
                    "anthropic",
                    json!({"capabilities": ["tools", "images", "json_schema", "pdf"],
                    "price": {"input": 10, "output": 50}, "region": "eu", "quality": {"default": 0.9}}),
                ),
                ("small", "openai", json!({"context_window": 1000})),
                ("old", "openai", json!({"retires": "2026-01-01", "replaced_by": "rich"})),
                ("ended", "openai", json!({"retires": "2026-01-01"})),
            ] {
                document.model(name, provider, "", None);
                document.facts(name, &facts);
            }
            document.routing("any", &json!({"targets": ["plain", "rich"]}));
            document.routing("cheap", &json!({"targets": ["rich", "plain"], "policy": "cheapest"}));
            document.routing(
                "best",
                &json!({"targets": ["plain", "rich"],
                "policy": {"rank": "score", "weights": {"quality": 1}}}),
            );
            document.routing(
                "trial",
                &json!({"targets": [{"model": "plain", "weight": 90}, {"model": "rich", "weight": 10}]}),
            );
            document.routing(
                "versions",
                &json!({"variants": [
                {"version": "a", "weight": 50, "targets": ["plain"]},
                {"version": "b", "weight": 50, "targets": ["rich"]}]}),
            );
            document.finish(json!({"first_token": "10s", "answer": "20s"}))
        },
        &[],
    )
}

fn with_image(model: &str) -> Value {
    let mut body = chat(model, false, &marker());
    body["messages"][0]["content"] = json!([
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]);
    body
}

#[tokio::test]
async fn a_target_that_lacks_a_need_is_not_asked_and_if_none_is_left_each_ones_lack_is_told() {
    let world = world();
    let reply = world.ask(&with_image("any")).await;
    assert_eq!((reply.status, reply.header("x-dragoman-model")), (200, "rich"), "{}", shown(&reply));
    assert_eq!(reply.attempts(), 1);

    let audio = world.ask_with(&[("x-dragoman-require", "audio")], &chat("any", false, "hi")).await;
    let error = audio.error();
    assert_eq!((audio.status, &error["code"], &error["param"]), (400, &json!("no_capable_target"), &json!("audio")));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("plain: it lacks audio; rich: it lacks audio"), "{message}");

    let long = "word ".repeat(3_000);
    let too_long = world.ask(&chat("small", false, &long)).await;
    assert_eq!(too_long.status, 400, "{}", shown(&too_long));

    let reply = world.ask_with(&[("x-dragoman-region", "eu")], &chat("any", false, "hi")).await;
    assert_eq!(reply.header("x-dragoman-model"), "rich");
    let mut short = chat("best", false, "hi");
    short["max_tokens"] = json!(10);
    let reply = world.ask_with(&[("x-dragoman-max-cost", "0.0001")], &short).await;
    assert_eq!(reply.header("x-dragoman-model"), "plain", "{}", shown(&reply));
}

#[tokio::test]
async fn scores_choose_by_what_they_weigh() {
    let world = world();
    for (route, model) in [("cheap", "plain"), ("best", "rich")] {
        let reply = world.ask(&chat(route, false, &marker())).await;
        assert_eq!((reply.status, reply.header("x-dragoman-model")), (200, model), "{}", shown(&reply));
    }
}

#[tokio::test]
async fn a_retired_model_is_replaced_and_one_without_successor_is_refused() {
    let world = world();
    let reply = world.ask(&chat("old", false, &marker())).await;
    assert_eq!(reply.header("x-dragoman-model"), "rich", "{}", shown(&reply));
    let reply = world.ask(&chat("ended", false, &marker())).await;
    let error = reply.error();
    assert_eq!(reply.status, 400, "{error}");
    assert!(error["message"].as_str().unwrap().contains("it retired on 2026-01-01"), "{error}");
}

/// So many days from today, which is what the module reads off Envoy's clock.
#[expect(clippy::disallowed_methods, reason = "the day of the test is the module's")]
fn day(ahead: i64) -> String {
    let today = Date::of(SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
    Date(today.0.saturating_add_signed(i32::try_from(ahead).unwrap())).to_string()
}

#[tokio::test]
async fn a_model_that_there_will_not_be_for_long_is_warned_of_once_and_its_requests_are_counted() {
    const EACH: u64 = 20;
    let near = day(30);
    let world = own(
        "ending",
        |mut document: Document<'_>| {
            for (name, provider, facts) in [
                ("near", "openai", json!({"retires": near, "replaced_by": "far"})),
                ("deprecated", "anthropic", json!({"deprecated": day(-10)})),
                ("far", "openai", json!({"deprecated": day(100), "retires": day(400)})),
                ("unasked", "openai", json!({"retires": near})),
            ] {
                document.model(name, provider, "", None);
                document.facts(name, &facts);
            }
            document.route("smart", &["near", "deprecated"], "first_token");
            document.finish(json!({"first_token": "10s", "answer": "20s"}))
        },
        &[],
    );
    for _ in 0..EACH {
        for model in ["near", "smart", "deprecated", "far"] {
            assert_eq!(world.ask(&chat(model, false, &marker())).await.status, 200);
        }
    }
    let metrics = after(&world, 4 * EACH).await;
    let counted = |labels: &[(&str, &str)]| metrics.sum("dragoman_retiring_requests_total", labels);
    assert_eq!(counted(&[("model", "near"), ("route", "smart")]), EACH);
    assert_eq!(counted(&[("model", "near")]), 2 * EACH);
    assert_eq!(counted(&[("model", "deprecated"), ("provider", "anthropic"), ("version", "lane")]), EACH);
    assert_eq!(counted(&[]), 3 * EACH);

    let log = world.envoy.log();
    let warnings =
        |model: &str| log.lines().filter(|line| line.contains(&format!("dragoman: model {model}: "))).count();
    // Once for each of the two workers that has had one of its requests.
    for model in ["near", "deprecated"] {
        assert!((1..=2).contains(&warnings(model)), "{model}: {}\n{log}", warnings(model));
    }
    assert_eq!((warnings("far"), warnings("unasked")), (0, 0));
    assert!(log.contains(&format!("gpt-fake retires on {near}, in ")), "{log}");
    assert!(log.contains("; far (gpt-fake) replaces it"), "{log}");
}

#[tokio::test]
async fn what_a_request_will_cost_is_known_by_its_task_for_all_workers() {
    let world = own(
        "tasks",
        |mut document: Document<'_>| {
            document.model("writer", "openai", "", None);
            let quality = json!({"default": 0.5, "essay": 0.5, "label": 0.5});
            document.facts("writer", &json!({"price": {"input": 0, "output": 1000}, "quality": quality}));
            document.finish(json!({"first_token": "10s", "answer": "20s"}))
        },
        &[],
    );
    for _ in 0..10 {
        for (task, text) in [("essay", "count 2000"), ("label", "count 2"), ("poem", "count 2000")] {
            let reply = world.ask_with(&[("x-dragoman-task", task)], &chat("writer", false, text)).await;
            assert_eq!(reply.status, 200, "{}", shown(&reply));
        }
    }
    // A worker believes for a second what it has read.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let cost = async |headers: &[(&str, &str)]| {
        let headers = [&[("x-dragoman-explain", "only")], headers].concat();
        let told = world.ask_with(&headers, &chat("writer", false, "hi")).await.json();
        told["targets"][0]["cost_micro_usd"].as_u64().unwrap_or_else(|| panic!("{told}"))
    };
    // On both workers, by chance.
    for _ in 0..10 {
        let (essay, label) = (cost(&[("x-dragoman-task", "essay")]).await, cost(&[("x-dragoman-task", "label")]).await);
        let (other, poem) = (cost(&[]).await, cost(&[("x-dragoman-task", "poem")]).await);
        assert!(label * 2 < other && other < essay && label * 3 < essay, "{label} < {other} < {essay}");
        assert_eq!(poem, other, "of a task that the configuration does not name nothing is kept");
    }
}

#[tokio::test]
async fn why_is_told_in_a_header_or_instead_of_an_answer() {
    let world = world();
    let only = world.ask_with(&[("x-dragoman-explain", "only")], &with_image("any")).await;
    let told = only.json();
    assert_eq!(only.status, 200, "{}", shown(&only));
    assert_eq!(told["needs"], json!(["images"]));
    let targets = told["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 2);
    assert_eq!((&targets[0]["left_out"], &targets[0]["attempt"]), (&json!("it lacks images"), &Value::Null));
    assert_eq!((&targets[1]["attempt"], &targets[1]["health"]), (&json!(1), &json!("well")));
    assert!(targets[1]["cost_micro_usd"].as_u64().unwrap() > 0, "{told}");

    let only = world.ask_with(&[("x-dragoman-explain", "only")], &chat("best", false, "hi")).await.json();
    let [plain, rich] = [0, 1].map(|index| only["targets"][index]["score_parts"].clone());
    // Who says nothing of its quality counts as half as good as the best.
    assert_eq!(plain, json!({"cost": 0.0, "latency": 0.0, "quality": 0.5, "bias": 0.0, "failures": 0.0}));
    assert_eq!(rich["quality"], 1.0, "{only}");

    let reply = world.ask_with(&[("x-dragoman-explain", "true")], &chat("cheap", false, &marker())).await;
    let summary = reply.header("x-dragoman-explain");
    assert!(summary.contains("plain=attempt 1") && summary.contains("rich=attempt 2"), "{summary}");
    let plain = world.ask(&chat("cheap", false, &marker())).await;
    assert_eq!(plain.header("x-dragoman-explain"), "");
}

/// Ten thousand requests would be 3 % of a user's share either way; what is asked for is the interval of
/// 99.9 % around the share.
#[tokio::test]
async fn ten_thousand_users_are_shared_out_within_the_confidence_interval_and_each_stays() {
    const USERS: usize = 10_000;
    const AT_ONCE: usize = 50;
    let world = world();
    for (route, model, share) in [("trial", "rich", 0.1), ("versions", "rich", 0.5)] {
        let tasks = (0..AT_ONCE).map(|lane| {
            let world = world.clone();
            async move {
                let mut chosen = Vec::new();
                for user in (lane..USERS / 2).step_by(AT_ONCE) {
                    let mut body = chat(route, false, "hi");
                    body["user"] = json!(format!("user-{user}"));
                    let first = world.ask(&body).await;
                    assert_eq!(first.status, 200, "{}", shown(&first));
                    // The other worker's turn, by chance, and another conversation.
                    body["messages"][0]["content"] = json!("something else");
                    let second = world.ask(&body).await;
                    assert_eq!(first.header("x-dragoman-model"), second.header("x-dragoman-model"), "user-{user}");
                    assert_eq!(first.header("x-dragoman-version"), second.header("x-dragoman-version"));
                    chosen.push(first.header("x-dragoman-model").to_owned());
                }
                chosen
            }
        });
        let chosen: Vec<String> = together(tasks).await.into_iter().flatten().collect();
        let mut counts = BTreeMap::new();
        chosen.iter().for_each(|model| *counts.entry(model.clone()).or_insert(0_u32) += 1);
        let users = chosen.len() as f64;
        let observed = f64::from(counts[model]) / users;
        let interval = 3.3 * f64::sqrt(share * (1.0 - share) / users);
        assert!((observed - share).abs() < interval, "{route}: {observed} of {share} ± {interval}");
    }
}
