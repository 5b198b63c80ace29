//! Ends answers that stand still.
//!
//! Envoy's own idle time-outs count whatever moves, keep-alive comments too, and before the first token
//! they would have to be as long as all attempts together. Here only what reaches the client counts,
//! and only once the answer has begun. The clock is the tick of the root context, so that watching a stream
//! costs nothing per chunk; a limit is kept to within one tick.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::abi;

/// When an answer that is watched has last moved.
pub struct Moving(Rc<Cell<Duration>>);

pub struct Watch {
    idle: Duration,
    /// When the last tick was.
    now: Cell<Duration>,
    /// The answers under way, by context, and when each has last moved.
    answers: RefCell<BTreeMap<u32, Rc<Cell<Duration>>>>,
}

impl Watch {
    pub fn new(idle: Duration) -> Self {
        Watch { idle, now: Cell::new(abi::now()), answers: RefCell::default() }
    }

    /// How often it wants to tick: an eighth of the limit is often enough to keep it.
    pub fn period(&self) -> Duration {
        (self.idle / 8).max(Duration::from_millis(20))
    }

    /// Watches an answer from now on, until it has [`Watch::ended`].
    pub fn begin(&self, context: u32) -> Moving {
        let last = Rc::new(Cell::new(self.now.get()));
        self.answers.borrow_mut().insert(context, Rc::clone(&last));
        Moving(last)
    }

    /// Something of this answer has gone to the client.
    pub fn moved(&self, Moving(last): &Moving) {
        last.set(self.now.get());
    }

    pub fn ended(&self, context: u32) {
        self.answers.borrow_mut().remove(&context);
    }

    /// Tells what time it is, too.
    pub fn tick(&self) -> Duration {
        let now = abi::now();
        self.now.set(now);
        let is_still = |last: &Cell<Duration>| now.saturating_sub(last.get()) > self.idle;
        let still: Vec<u32> = {
            let answers = self.answers.borrow();
            answers.iter().filter(|(_, last)| is_still(last)).map(|(context, _)| *context).collect()
        };
        for context in still {
            self.ended(context);
            abi::reset_stream(context);
        }
        now
    }
}
