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

use super::abi;
use crate::attempt::Answer;
use crate::json::Edits;
use crate::route::Plan;
use crate::route::retry::Progress;

pub struct Live {
    /// `18f3a-17`: no other request of this thread has it, of another VM neither.
    pub name: String,
    pub plan: Plan,
    /// For the first attempt, until that takes it.
    pub written: RefCell<Option<Written>>,
    pub progress: RefCell<Progress>,
    /// The latest attempt's.
    pub answer: RefCell<Option<Answer>>,
    /// When the attempt under way began; `None` between two.
    pub running: Cell<Option<Duration>>,
    /// When the answer began to reach the client.
    pub committed: Cell<Option<Duration>>,
    /// When the last of the answer was passed on.
    pub ended: Cell<Option<Duration>>,
    /// Whether the latest attempt is the probe of its target.
    pub is_probe: Cell<bool>,
    /// Whether the provider was not at the end of its answer when the latest attempt failed.
    pub goes_on: Cell<bool>,
    /// Whether what the answer ends with could not be written.
    pub is_cut: Cell<bool>,
    /// Whether the request has ended. An attempt that is still under way then is one that the client has left.
    pub is_over: Cell<bool>,
}

/// What takes the place of the client's body, or of its beginning.
pub struct Written {
    /// So many of the client's bytes.
    pub over: usize,
    pub bytes: Vec<u8>,
}

impl Written {
    /// `body` may end where the last of the edits does.
    pub fn edited(edits: &Edits, body: &[u8]) -> Self {
        let head = body.get(..edits.end()).unwrap_or(body);
        Written { over: head.len(), bytes: edits.apply(head) }
    }
}

#[derive(Default)]
struct All {
    /// By the id of the route stage's context, which no other context of the VM ever has.
    known: BTreeMap<u32, Rc<Live>>,
    /// Those of which no attempt has begun yet, the latest last. An attempt begins as soon as there is a plan, unless
    /// another filter between the two stages takes its time.
    waiting: Vec<u32>,
}

thread_local! {
    static ALL: RefCell<All> = RefCell::default();
    /// When this VM began, by which its requests are told from those of another: when a module is replaced, two have
    /// their filters on the way of the same request.
    static BORN: u64 = abi::now().as_nanos() as u64;
}

fn name(context: u32) -> String {
    format!("{:x}-{context}", BORN.with(|born| *born))
}

/// Makes a request, and its body, known to its attempts until [`remove`]. `is_probe`: the first of them.
pub fn insert(context: u32, mut plan: Plan, body: &[u8], is_probe: bool) -> Rc<Live> {
    let written = plan.candidates.first_mut().and_then(|first| match (first.written.take(), &first.edits) {
        (Some(bytes), _) => Some(Written { over: body.len(), bytes }),
        (None, Some(edits)) => Some(Written::edited(edits, body)),
        (None, None) => None,
    });
    let live = Rc::new(Live {
        name: name(context),
        plan,
        written: RefCell::new(written),
        progress: RefCell::default(),
        answer: RefCell::default(),
        running: Cell::default(),
        committed: Cell::default(),
        ended: Cell::default(),
        is_probe: Cell::new(is_probe),
        goes_on: Cell::default(),
        is_cut: Cell::default(),
        is_over: Cell::default(),
    });
    ALL.with_borrow_mut(|all| {
        all.known.insert(context, Rc::clone(&live));
        all.waiting.push(context);
    });
    live
}

/// The request of which this is the first attempt, if `is` says so of one.
pub fn begun(is: impl Fn(&Live) -> bool) -> Option<Rc<Live>> {
    ALL.with_borrow_mut(|All { known, waiting }| {
        let found = waiting.iter().enumerate().rev();
        let found = found.filter_map(|(place, context)| Some((place, known.get(context)?)));
        let (place, live) = found.into_iter().find(|(_, live)| is(live))?;
        let live = Rc::clone(live);
        waiting.remove(place);
        Some(live)
    })
}

/// By its name.
pub fn find(name: &str) -> Option<Rc<Live>> {
    let (_, context) = name.split_once('-')?;
    let context = context.parse().ok()?;
    ALL.with_borrow(|all| all.known.get(&context).filter(|live| live.name == name).cloned())
}

pub fn remove(context: u32) {
    ALL.with_borrow_mut(|all| {
        all.known.remove(&context);
        all.waiting.retain(|waiting| *waiting != context);
    });
}

/// Whether any request is under way.
pub fn any() -> bool {
    ALL.with_borrow(|all| !all.known.is_empty())
}
