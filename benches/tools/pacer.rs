//! Writes the events of many streams, each when it is due.
//!
//! Tokio's timers are due by whole milliseconds: with them the events of all streams come in bursts, of which each
//! waits for those before it. Here a thread sleeps until the next is due, by the kernel's clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Write;
use std::net::TcpStream;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// What is written, and the pause before each, in the mean.
#[derive(Default)]
pub struct Paced {
    pub pieces: Vec<Vec<u8>>,
    pub pause: Duration,
}

#[derive(Default)]
pub struct Pacer {
    due: Mutex<Due>,
    /// Something is due before what was waited for.
    earlier: Condvar,
}

#[derive(Default)]
struct Due {
    /// By the time of the next piece, the earliest first, and by the stream's place.
    next: BinaryHeap<Reverse<(Instant, usize)>>,
    streams: Vec<Option<Stream>>,
    begun: u64,
}

struct Stream {
    socket: TcpStream,
    pieces: &'static [Vec<u8>],
    pause: Duration,
    /// By which pauses differ.
    dice: u64,
    /// Takes the socket back.
    done: oneshot::Sender<TcpStream>,
}

impl Stream {
    /// Half to one and a half of what it is in the mean: no model takes as long for each word, and streams whose
    /// events once come together do not go on so.
    fn pause(&mut self) -> Duration {
        // Xorshift, by Marsaglia.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.pause.mul_f64(0.5 + (self.dice >> 11) as f64 / (1u64 << 53) as f64)
    }
}

impl Pacer {
    pub fn start() -> &'static Self {
        let pacer: &Pacer = Box::leak(Box::default());
        thread::spawn(|| pacer.run());
        pacer
    }

    /// Writes all pieces to a socket that does not block; an error where its peer has left.
    pub fn write(&self, socket: TcpStream, paced: &'static Paced) -> oneshot::Receiver<TcpStream> {
        let (done, written) = oneshot::channel();
        let mut due = self.due.lock().unwrap();
        due.begun += 1;
        let dice = due.begun.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut stream = Stream { socket, pieces: &paced.pieces, pause: paced.pause, dice, done };
        let when = Instant::now() + stream.pause();
        let is_first = due.next.peek().is_none_or(|Reverse((first, _))| when < *first);
        let place = due.streams.iter().position(Option::is_none).unwrap_or(due.streams.len());
        if place == due.streams.len() {
            due.streams.push(None);
        }
        due.streams[place] = Some(stream);
        due.next.push(Reverse((when, place)));
        if is_first {
            self.earlier.notify_one();
        }
        written
    }

    fn run(&self) {
        let mut due = self.due.lock().unwrap();
        loop {
            let Some(Reverse((when, place))) = due.next.peek().copied() else {
                due = self.earlier.wait(due).unwrap();
                continue;
            };
            let wait = when.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                due = self.earlier.wait_timeout(due, wait).unwrap().0;
                continue;
            }
            due.next.pop();
            let mut stream = due.streams[place].take().expect("what is due is there");
            let [piece, rest @ ..] = stream.pieces else { continue };
            // A peer that has left, or does not read: the stream ends with its socket.
            if stream.socket.write_all(piece).is_err() {
                continue;
            }
            stream.pieces = rest;
            if rest.is_empty() {
                let _ = stream.done.send(stream.socket);
                continue;
            }
            let when = when + stream.pause();
            due.streams[place] = Some(stream);
            due.next.push(Reverse((when, place)));
        }
    }
}
