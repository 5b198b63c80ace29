//! Every folder of `tests/golden` is a conversation whose every byte is expected.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use support::folders;
use support::golden::in_one_piece;

#[test]
fn every_conversation_goes_as_recorded() {
    let folders = folders::all();
    assert!(!folders.is_empty());
    let differences: Vec<String> = folders
        .iter()
        .flat_map(|folder| folders::compare(folder, &folders::read(folder).replay(&in_one_piece)))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}
