//! What the integration tests share.
#![allow(dead_code, reason = "each test crate uses a part of it")]

pub mod canonical;
pub mod folders;
pub mod frames;
pub mod golden;
pub mod inherited;
pub mod metrics;
pub mod random;
pub mod reader;
pub mod shown;
pub mod watched;

/// Whether expected files are to be rewritten rather than compared.
#[expect(clippy::disallowed_methods, reason = "a test's own switch")]
pub fn updates() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}
