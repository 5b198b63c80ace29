//! Plays a script as the body of a response: each write by itself, each wait in real time.
//!
//! It tells the record how the answer ended, also when the client leaves in the middle. It knows neither
//! providers nor faults.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use tokio::time::Sleep;

use crate::record::Open;
use crate::script::{Step, Steps};

/// hyper throws away what it has not written when a body fails; this much time lets it write.
const BEFORE_BREAK: Duration = Duration::from_millis(20);

/// Long enough for every timeout that a test waits for, and then again.
const HANG: Duration = Duration::from_secs(3600);

pub struct Body {
    steps: Steps,
    /// What is left, where a content-length was promised.
    left: Option<u64>,
    wait: Option<Pin<Box<Sleep>>>,
    /// The last step was a write: hyper flushes when the body has nothing more for now.
    flush: bool,
    breaking: bool,
    open: Option<Open>,
}

/// The connection is broken on purpose.
#[derive(Debug)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken on purpose")
    }
}

impl std::error::Error for Broken {}

impl Body {
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        let steps = (length > 0).then_some(Step::Write(bytes));
        Self::new(Box::new(steps.into_iter()), Some(length), None)
    }

    pub fn new(steps: Steps, length: Option<u64>, open: Option<Open>) -> Self {
        Self { steps, left: length, wait: None, flush: false, breaking: false, open }
    }

    fn finish(&mut self) {
        if let Some(open) = self.open.take() {
            open.finish();
        }
    }

    fn sleep(&mut self, time: Duration) {
        self.wait = Some(Box::pin(tokio::time::sleep(time)));
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            if let Some(wait) = &mut self.wait {
                std::task::ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            if self.breaking {
                if let Some(open) = self.open.take() {
                    open.broken();
                }
                return Poll::Ready(Some(Err(Broken)));
            }
            if std::mem::take(&mut self.flush) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.steps.next() {
                Some(Step::Write(bytes)) => {
                    if let Some(left) = &mut self.left {
                        *left = left.saturating_sub(bytes.len() as u64);
                        if *left == 0 {
                            // hyper does not ask again after the last promised byte.
                            self.finish();
                        }
                    }
                    self.flush = self.left != Some(0);
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Step::Trailers(trailers)) => {
                    // hyper does not ask again after trailers.
                    self.finish();
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                Some(Step::Wait(time)) => self.sleep(time),
                Some(Step::Break) => {
                    self.breaking = true;
                    self.sleep(BEFORE_BREAK);
                }
                Some(Step::Hang) => self.steps = Box::new(std::iter::repeat_with(|| Step::Wait(HANG))),
                None => {
                    self.finish();
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
