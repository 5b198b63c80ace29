//! A configuration: what resolves, resolves to itself.
#![no_main]

use dragoman::config;
use dragoman::route::Router;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    let config = match config::from_json(document) {
        Ok(config) => config,
        Err(problems) => return assert!(!problems.to_string().is_empty()),
    };
    let resolved = config::to_json(&config);
    assert!(resolved.is_ascii());
    let again = match config::from_json(resolved.as_bytes()) {
        Ok(again) => again,
        Err(problems) => panic!("{problems}\n{resolved}"),
    };
    assert_eq!(config::to_json(&again), resolved);
    Router::new(config);
});
