//! Placeholder, written by the configuration work.
