//! The requests under way on this worker, shared by the two stages.
//!
//! Both run in the same VM, on the thread of the client's connection, so that what one knows the other can
//! read without the host in between: the plan, the body that is already written, what has failed, and
//! the answer as far as it has come, which the route stage settles when the client has gone before the
//! attempt hears of it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::attempt::Answer;
use crate::route::Plan;
use crate::route::retry::Progress;

pub struct Live {
    /// The route stage's.
    pub context: u32,
    pub plan: Plan,
    /// The body for the first attempt, until that takes it.
    pub written: RefCell<Option<Vec<u8>>>,
    pub progress: RefCell<Progress>,
    /// The latest attempt's.
    pub answer: RefCell<Option<Answer>>,
    /// When the attempt under way began; `None` between two.
    pub running: Cell<Option<Duration>>,
    /// When the answer began to reach the client.
    pub committed: Cell<Option<Duration>>,
}

thread_local! {
    /// By the id of the route stage's context, which no other context of the VM ever has.
    static ALL: RefCell<BTreeMap<u32, Rc<Live>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Makes a request known to its attempts until [`remove`].
pub fn insert(context: u32, mut plan: Plan) -> Rc<Live> {
    let written = plan.candidates.first_mut().and_then(|candidate| candidate.written.take());
    let live = Rc::new(Live {
        context,
        plan,
        written: RefCell::new(written),
        progress: RefCell::default(),
        answer: RefCell::default(),
        running: Cell::default(),
        committed: Cell::default(),
    });
    ALL.with_borrow_mut(|all| all.insert(context, Rc::clone(&live)));
    live
}

pub fn find(context: u32) -> Option<Rc<Live>> {
    ALL.with_borrow(|all| all.get(&context).cloned())
}

pub fn remove(context: u32) {
    ALL.with_borrow_mut(|all| all.remove(&context));
}

/// Whether any request is under way.
pub fn any() -> bool {
    ALL.with_borrow(|all| !all.is_empty())
}
