//! Dragoman: an LLM gateway that lives inside Envoy as one proxy-wasm filter.
//!
//! The core is sans-IO: bytes, time and headers are arguments, results are values. In the order in
//! which a request meets them:
//!
//! ```text
//! client bytes
//!    │  endpoint  parse       what clients speak: chat completions
//!    ▼
//! ChatRequest                 chat: the hub, OpenAI's shape, unknown fields kept verbatim
//!    │  route     plan        ordered targets, or a Rejection
//!    ▼
//! Plan ──► Attempt            attempt: one per try; Envoy retries
//!             │  provider     what vendors speak: ChatRequest -> UpstreamRequest
//!             ▼
//!          upstream bytes
//!             │  stream       bytes -> frames -> (provider) chunks -> normalized chunks
//!             ▼
//!          endpoint  render   chunks -> client bytes
//! ```
//!
//! `config` is what all of it is set up with, `json` and `error` are the vocabulary, `host` (only with
//! the feature of that name) is the shell: the only code that knows proxy-wasm.

/// Whether requests are counted, logged and learnt from: only the benchmark of that has a module without.
pub(crate) const COUNTS: bool = !cfg!(feature = "uncounted");

#[cfg(any(all(feature = "host", target_arch = "wasm32"), test))]
mod allocator;
pub mod attempt;
pub mod chat;
mod clock;
pub mod config;
pub mod endpoint;
pub mod error;
pub mod headers;
#[cfg(feature = "host")]
mod host;
pub mod json;
mod lanes;
mod memory;
pub mod meter;
pub mod metrics;
mod needle;
pub mod places;
pub mod provider;
pub mod quality;
#[cfg(test)]
#[path = "../tests/support/random.rs"]
mod random;
pub mod record;
pub mod route;
pub mod stream;
pub mod tokens;
