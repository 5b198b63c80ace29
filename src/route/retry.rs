//! What happens after an attempt has failed. The one place that decides, from the class of the
//! failure and what was tried before.

use std::time::Duration;

use super::Plan;
use crate::error::{Class, ErrorReply, UpstreamError};

/// What has happened to a request so far.
#[derive(Debug, Default)]
pub struct Progress {
    pub failures: Vec<Failure>,
    /// The candidate of the next attempt.
    pub next: usize,
}

/// One attempt that failed.
#[derive(Debug)]
pub struct Failure {
    pub candidate: usize,
    pub class: Class,
    pub reply: ErrorReply,
    /// What of the provider's headers a client is given.
    pub headers: Vec<(String, String)>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt, with [`Progress::next`].
    Try,
    /// The same, but only after so long.
    TryAfter(Duration),
    /// This failure is the answer.
    Stop,
}

impl Progress {
    /// How many attempts there have been, the running one included.
    pub fn attempts(&self) -> usize {
        self.failures.len() + 1
    }

    /// Notes that the running attempt has failed and decides what comes next.
    pub fn fail(&mut self, plan: &Plan, error: UpstreamError, headers: Vec<(String, String)>) -> Next {
        let candidate = self.next;
        self.failures.push(Failure { candidate, class: error.class, reply: error.reply, headers });
        if self.failures.len() >= plan.attempts as usize {
            return Next::Stop;
        }
        let tries_here = self.failures.iter().filter(|failure| failure.candidate == candidate).count();
        let wait = error.retry_after.filter(|wait| wait.as_millis() <= u128::from(plan.retry_after));
        match error.class {
            // The client's own fault is no better elsewhere.
            Class::Rejected => return Next::Stop,
            Class::Transient if tries_here == 1 => return wait.map_or(Next::Try, Next::TryAfter),
            // Once: a target that is limited again after the time it asked for is under pressure from others.
            Class::RateLimited if tries_here == 1 && wait.is_some() => return wait.map_or(Next::Try, Next::TryAfter),
            Class::TooLarge => self.next = larger_window(plan, candidate),
            Class::Transient
            | Class::Unreachable
            | Class::RateLimited
            | Class::Quota
            | Class::Silent
            | Class::Malformed
            | Class::Misconfigured => self.next = candidate + 1,
        }
        if self.next < plan.candidates.len() { Next::Try } else { Next::Stop }
    }
}

/// The next candidate that may hold a context which this one does not: one with a larger window, or
/// one of the two whose window is not known.
fn larger_window(plan: &Plan, candidate: usize) -> usize {
    let window = |index: usize| plan.candidates.get(index).and_then(|candidate| candidate.target.context_window);
    let mut later = candidate + 1..plan.candidates.len();
    let larger = |later: &usize| match (window(candidate), window(*later)) {
        (Some(this), Some(other)) => other > this,
        _ => true,
    };
    later.find(larger).unwrap_or(plan.candidates.len())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Candidate;
    use super::*;
    use crate::provider::Target;
    use crate::quality::Expected;

    /// A failure, and how long the provider asks to wait, in milliseconds.
    type Step = (Class, Option<u64>);

    /// What comes after each failure: waiting (0 for none) and the candidate, or `None` to stop.
    fn walk(windows: &[Option<u64>], attempts: u32, steps: &[Step]) -> Vec<Option<(u64, usize)>> {
        let candidate = |window: &Option<u64>| Candidate {
            target: Arc::new(Target { context_window: *window, ..Target::default() }),
            path: String::new(),
            headers: Vec::new(),
            edits: None,
            written: None,
            dropped: Vec::new(),
            renamed: Vec::new(),
        };
        let plan = Plan {
            version: "1".into(),
            request_id: String::new(),
            route: "r".into(),
            endpoint: "e",
            stream: true,
            include_usage: false,
            hold: false,
            try_limit: 1,
            attempts,
            breaker: true,
            retry_after: 5000,
            input_estimate: 0,
            conversation: 0,
            task: None,
            expected: Expected::default(),
            candidates: windows.iter().map(candidate).collect(),
            explanation: None,
        };
        let mut progress = Progress::default();
        let step = |(class, wait): &Step| {
            let mut error = UpstreamError::new(*class, 500, "server_error", "x", "x");
            error.retry_after = wait.map(Duration::from_millis);
            let next = progress.fail(&plan, error, Vec::new());
            match next {
                Next::Try => Some((0, progress.next)),
                Next::TryAfter(wait) => Some((wait.as_millis() as u64, progress.next)),
                Next::Stop => None,
            }
        };
        steps.iter().map(step).collect()
    }

    /// docs/failures.md, row by row: what follows the first and the second
    /// failure of a kind on the first of three targets.
    #[test]
    fn each_class_has_its_next_step() {
        let three = [None; 3];
        for (class, wait, first, second) in [
            (Class::Transient, None, Some((0, 0)), Some((0, 1))),
            (Class::Transient, Some(300), Some((300, 0)), Some((0, 1))),
            (Class::Unreachable, None, Some((0, 1)), Some((0, 2))),
            (Class::Unreachable, Some(300), Some((0, 1)), Some((0, 2))),
            (Class::RateLimited, None, Some((0, 1)), Some((0, 2))),
            (Class::RateLimited, Some(5000), Some((5000, 0)), Some((0, 1))),
            (Class::RateLimited, Some(5001), Some((0, 1)), Some((0, 2))),
            (Class::Quota, Some(1), Some((0, 1)), Some((0, 2))),
            (Class::Silent, None, Some((0, 1)), Some((0, 2))),
            (Class::Malformed, None, Some((0, 1)), Some((0, 2))),
            (Class::TooLarge, None, Some((0, 1)), Some((0, 2))),
            (Class::Misconfigured, None, Some((0, 1)), Some((0, 2))),
            (Class::Rejected, None, None, None),
        ] {
            let steps = walk(&three, 9, &[(class, wait), (class, wait)]);
            assert_eq!(steps, [first, second], "{class:?} {wait:?}");
        }
    }

    #[test]
    fn a_context_that_is_too_long_goes_to_a_larger_window_only() {
        let windows = [Some(200), Some(100), Some(200), Some(1000)];
        assert_eq!(walk(&windows, 9, &[(Class::TooLarge, None); 2]), [Some((0, 3)), None]);
        assert_eq!(walk(&[Some(200), Some(100)], 9, &[(Class::TooLarge, None)]), [None]);
        assert_eq!(walk(&[Some(200), None], 9, &[(Class::TooLarge, None)]), [Some((0, 1))]);
    }

    #[test]
    fn attempts_are_bounded_and_the_last_target_ends_it() {
        let wall = [(Class::RateLimited, Some(100)); 6];
        assert_eq!(walk(&[None; 2], 3, &wall)[..3], [Some((100, 0)), Some((0, 1)), None]);
        assert_eq!(walk(&[None; 2], 9, &wall)[..4], [Some((100, 0)), Some((0, 1)), Some((100, 1)), None]);
        assert_eq!(walk(&[None], 9, &[(Class::Silent, None)]), [None]);
    }
}
