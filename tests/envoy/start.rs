//! What Envoy does with a configuration that is wrong.

use serde_json::json;

use crate::process::{Fakes, Setup, bootstrap, refused};
use crate::world::Document;

#[test]
fn a_wrong_configuration_keeps_envoy_from_starting_and_its_log_says_why() {
    let fakes = Fakes::start();
    let mut document = Document::new(&fakes);
    document.model("gpt", "openai", "", None);
    let document = document.finish(json!({}));
    let (path, address, _) = bootstrap(&Setup { workers: 1, ..Setup::new("wrong", document) });
    let right = std::fs::read_to_string(&path).unwrap();
    let wrong = right.replace(r#""attempts": 4"#, r#""attempts": "many", "atempts": 4"#);
    assert_ne!(wrong, right);
    std::fs::write(&path, wrong).unwrap();
    let log = refused(&path, &fakes);
    for words in ["dragoman: the configuration is not valid", "limits.attempts", "atempts"] {
        assert!(log.contains(words), "{words:?} is not in the log:\n{log}");
    }
    assert!(std::net::TcpStream::connect(address).is_err(), "it listens all the same");
}
