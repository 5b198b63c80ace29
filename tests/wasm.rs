//! The core on the target that it ships for: some golden conversations, replayed in V8, where a
//! pointer has 32 bits. Natively this file is empty; `tests/golden.rs` has them all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]
#![cfg(target_arch = "wasm32")]

use wasm_bindgen_test::wasm_bindgen_test;

#[path = "support/golden.rs"]
#[allow(dead_code, reason = "each test crate uses a part of it")]
mod golden;

use dragoman::{config, stream::sse};
use golden::{Case, in_one_piece};

macro_rules! conversation {
    ($test:ident, $folder:literal) => {
        #[wasm_bindgen_test]
        fn $test() {
            macro_rules! file {
                ($name:literal) => {
                    include_bytes!(concat!("golden/", $folder, "/", $name)).as_slice()
                };
            }
            let about = std::str::from_utf8(file!("case.json")).unwrap();
            let case = Case::new(about, file!("request.json"), Some(file!("upstream-response.http")));
            let bytes = |body: &[u8]| body.chunks(1).map(<[u8]>::to_vec).collect();
            for replayed in [case.replay(&in_one_piece), case.replay(&bytes)] {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                assert_eq!(text(&replayed.upstream_request.unwrap()), text(file!("upstream-request.http")));
                assert_eq!(text(&replayed.response), text(file!("response.http")));
            }
        }
    };
}

conversation!(openai_json_is_relayed, "openai/json");
conversation!(openai_stream_is_relayed, "openai/stream");
conversation!(openai_parallel_tools_are_relayed, "openai/stream_parallel_tools");
conversation!(anthropic_tools_over_two_turns_are_translated, "anthropic/parallel_tools_two_turns");
conversation!(anthropic_images_are_translated, "anthropic/images");
conversation!(anthropic_streams_are_translated, "anthropic/stream_ping_and_unknown");
conversation!(anthropic_tool_streams_are_translated, "anthropic/stream_parallel_tools");
conversation!(anthropic_errors_are_told, "anthropic/error_overloaded");

/// Sizes that overflow 32 bits, and numbers that no type holds, are refused or kept, never wrapped.
#[wasm_bindgen_test]
fn sizes_beyond_32_bits_are_no_surprise() {
    let document = |body: &str| {
        format!(
            r#"{{"providers":{{"openai":{{"credential":"none"}}}},"models":{{"m":{{"provider":"openai","id":"m"}}}},
            "limits":{{"body":"{body}"}}}}"#
        )
    };
    assert!(config::from_json(document("1GiB").as_bytes()).is_ok());
    assert!(config::from_json(document("5GiB").as_bytes()).is_err());
    assert!(config::from_json(document("99999999999999999999GiB").as_bytes()).is_err());
    assert!(sse::MAX_EVENT < usize::MAX / 16);
}

/// Prices, dates and shares are larger than a pointer, or come out of the system's calendar.
#[wasm_bindgen_test]
fn a_resolved_document_resolves_to_itself() {
    let document = include_str!("config/valid/zz_everything.json");
    let config = config::from_json(document.as_bytes()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config::to_json(&config), document);
}
