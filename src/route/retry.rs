//! What happens after an attempt has failed. The one place that decides, from the class of the
//! failure and what was tried before.

use serde::{Deserialize, Serialize};

use super::Plan;
use crate::error::{Class, ErrorReply, UpstreamError};

/// What has happened to a request so far. It travels beside the plan; a request without a failure
/// has none.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    pub failures: Vec<Failure>,
    /// The candidate of the next attempt.
    pub next: usize,
}

/// One attempt that failed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    pub candidate: usize,
    pub class: Class,
    pub reply: ErrorReply,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt, with [`Progress::next`].
    Try,
    /// This failure is the answer.
    Stop,
}

impl Progress {
    pub fn from_json(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// How many attempts there have been, the running one included.
    pub fn attempts(&self) -> usize {
        self.failures.len() + 1
    }

    /// Notes that the running attempt has failed and decides what comes next.
    pub fn fail(&mut self, plan: &Plan<'_>, error: UpstreamError) -> Next {
        let candidate = self.next;
        let class = error.class;
        self.failures.push(Failure { candidate, class, reply: error.reply });
        if self.failures.len() >= plan.attempts as usize {
            return Next::Stop;
        }
        let tries_here = self.failures.iter().filter(|failure| failure.candidate == candidate).count();
        match class {
            // The client's own fault is no better elsewhere.
            Class::Rejected => return Next::Stop,
            Class::Transient if tries_here == 1 => return Next::Try,
            Class::Transient
            | Class::Unreachable
            | Class::RateLimited
            | Class::Quota
            | Class::Silent
            | Class::Malformed
            | Class::TooLarge
            | Class::Misconfigured => {}
        }
        self.next = candidate + 1;
        if self.next < plan.candidates.len() { Next::Try } else { Next::Stop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(candidates: usize, attempts: u32, classes: &[Class]) -> Vec<(Next, usize)> {
        let target = r#"{"target":{"model":"m","provider":"p","kind":"openai","id":"i","scheme":"http",
            "authority":"a","base_path":"","max_output":null,"sampling":[]},"path":"/x"}"#;
        let list = vec![target; candidates].join(",");
        let plan = format!(
            r#"{{"version":"1","route":"r","endpoint":"e","stream":true,"include_usage":false,"hold":false,
            "try_limit":1,"attempts":{attempts},"candidates":[{list}]}}"#
        );
        let plan = Plan::from_json(plan.as_bytes()).unwrap();
        let mut progress = Progress::default();
        let step = |class: &Class| {
            let next = progress.fail(&plan, UpstreamError::new(*class, 500, "server_error", "x", "x"));
            progress = Progress::from_json(&progress.to_json()).unwrap();
            (next, progress.next)
        };
        classes.iter().map(step).collect()
    }

    #[test]
    fn a_transient_failure_repeats_the_target_once() {
        let steps = walk(2, 4, &[Class::Transient, Class::Transient, Class::Transient, Class::Transient]);
        assert_eq!(steps, [(Next::Try, 0), (Next::Try, 1), (Next::Try, 1), (Next::Stop, 1)]);
    }

    #[test]
    fn silence_moves_on_and_the_last_target_ends_it() {
        assert_eq!(walk(2, 4, &[Class::Silent, Class::Silent]), [(Next::Try, 1), (Next::Stop, 2)]);
    }

    #[test]
    fn a_rejection_is_final_and_the_limit_holds() {
        assert_eq!(walk(3, 4, &[Class::Rejected]), [(Next::Stop, 0)]);
        assert_eq!(walk(3, 2, &[Class::Quota, Class::Quota]), [(Next::Try, 1), (Next::Stop, 1)]);
    }
}
