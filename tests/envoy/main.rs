//! The gateway as it is deployed: the module in the real Envoy, with a generated bootstrap, between real
//! connections and the fake providers. What only Envoy can show is shown here; the rules themselves have
//! tests of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::print_stdout, reason = "what a failed test has to show")]

mod client;
mod commit;
mod counting;
mod failover;
mod failure;
mod golden;
mod health;
mod hostile;
mod hygiene;
mod large;
mod process;
mod protocol;
mod record;
mod refusal;
mod reload;
mod routing;
mod start;
mod streaming;
#[path = "../support/mod.rs"]
mod support;
mod upstream;
mod world;
