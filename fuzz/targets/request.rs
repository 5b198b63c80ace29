//! A client's bytes become a plan and the requests of its attempts.
//!
//! Input: the model's character; one whose bit 0 says strict and bit 1 that the answer is held back; the body.
#![no_main]

use dragoman::config::Commit;
use dragoman::route::Wishes;
use dragoman_fuzz::{router, sent};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [letter, how, body @ ..] = input else { return };
    let commit = (how & 2 != 0).then_some(Commit::Complete);
    let wishes = Wishes { strict: how & 1 != 0, commit, ..Wishes::default() };
    sent::check(router(*letter), body, &wishes);
});
