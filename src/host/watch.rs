//! Ends requests and answers that stand still.
//!
//! Envoy's own idle time-outs count whatever moves, keep-alive comments too, and before the first token
//! they would have to be as long as all attempts together. Here what a client sends counts until the request is
//! whole, then nothing until the answer has begun, and from there on what reaches the client. The clock is the tick
//! of the root context, so that watching a stream costs nothing per chunk; a limit is kept to within one tick.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::abi;

/// When what is watched has last moved.
#[derive(Clone)]
pub struct Moving(Rc<Cell<Duration>>);

/// What is watched.
#[derive(Clone, Copy)]
pub enum What {
    Request,
    Answer,
}

pub struct Watch {
    idle: Duration,
    /// When the last tick was.
    now: Cell<Duration>,
    /// What is under way, by context, and when each has last moved.
    all: RefCell<BTreeMap<u32, (What, Moving)>>,
}

impl Watch {
    pub fn new(idle: Duration) -> Self {
        Watch { idle, now: Cell::new(abi::now()), all: RefCell::default() }
    }

    /// How often it wants to tick: an eighth of the limit is often enough to keep it.
    pub fn period(&self) -> Duration {
        (self.idle / 8).max(Duration::from_millis(20))
    }

    /// Watches it from now on, until it has [`Watch::ended`].
    pub fn begin(&self, context: u32, what: What) -> Moving {
        let moving = Moving(Rc::new(Cell::new(self.now.get())));
        self.all.borrow_mut().insert(context, (what, moving.clone()));
        moving
    }

    /// Something of it has come or gone.
    pub fn moved(&self, Moving(last): &Moving) {
        last.set(self.now.get());
    }

    pub fn has_ticked_since(&self, time: Duration) -> bool {
        self.now.get() > time
    }

    pub fn ended(&self, context: u32) {
        self.all.borrow_mut().remove(&context);
    }

    /// What time it is, and what has stood still for too long: it is watched no more.
    pub fn tick(&self) -> (Duration, Vec<(u32, What)>) {
        let now = abi::now();
        self.now.set(now);
        let mut still = Vec::new();
        self.all.borrow_mut().retain(|context, (what, Moving(last))| {
            let moves = now.saturating_sub(last.get()) <= self.idle;
            if !moves {
                still.push((*context, *what));
            }
            moves
        });
        (now, still)
    }
}
