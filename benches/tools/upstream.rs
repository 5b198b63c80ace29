//! A provider that costs next to nothing: it answers from memory, without a look at what it is asked.
//!
//! The path decides. Its first segment is how the answer comes (`json`, `stream`, `paced`, `held`), the rest
//! is the provider's own path, by which the format is known. The fakes of the tests read and check every
//! request, which would make them the slowest part of a measurement.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a tool of the benchmark: it fails by panicking"
)]

mod answers;

mod pacer;

use std::fmt::Write;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use answers::{EVENTS, FORMATS, Format};
use pacer::{Paced, Pacer};

/// Between two events of `paced`, in the mean: so far apart that each goes through a gateway alone.
const PACE: Duration = Duration::from_millis(5);
/// Between two events of `held`.
const HELD_PACE: Duration = Duration::from_secs(1);

/// What is sent at once, and what follows.
struct Answer {
    first: Vec<u8>,
    rest: Paced,
}

fn answer(pace: &str, format: Format) -> Answer {
    let head = |kind: &str, rest: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n{rest}\r\n\r\n");
    let at_once = |text: String| Answer { first: text.into_bytes(), rest: Paced::default() };
    if pace == "json" {
        let body = format.json();
        return at_once(head("application/json", &format!("content-length: {}", body.len())) + &body);
    }
    // Every event is an HTTP chunk, as servers that flush it send it.
    let mut events = format.events().into_iter().map(|event| format!("{:x}\r\n{event}\r\n", event.len()));
    let mut first = head("text/event-stream", "transfer-encoding: chunked");
    if pace == "stream" {
        events.for_each(|event| first.push_str(&event));
        first.push_str("0\r\n\r\n");
        return at_once(first);
    }
    let pause = if pace == "held" { HELD_PACE } else { PACE };
    // The first word is there at once, in all formats: what is measured is how long it takes to the client.
    events.by_ref().take(4).for_each(|event| first.push_str(&event));
    let mut pieces: Vec<_> = events.map(String::into_bytes).collect();
    pieces.last_mut().unwrap().extend_from_slice(b"0\r\n\r\n");
    Answer { first: first.into_bytes(), rest: Paced { pieces, pause } }
}

const PACES: [&str; 4] = ["json", "stream", "paced", "held"];

type Answers = Vec<Vec<Answer>>;

fn find(answers: &'static Answers, path: &str) -> Option<&'static Answer> {
    let (pace, rest) = path.strip_prefix('/')?.split_once('/')?;
    let pace = PACES.iter().position(|known| *known == pace)?;
    let format = Format::of(&format!("/{rest}"))?;
    Some(&answers[pace][FORMATS.iter().position(|known| *known == format)?])
}

async fn serve(mut stream: TcpStream, answers: &'static Answers, pacer: &'static Pacer) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 256 << 10];
    let mut filled = 0;
    loop {
        // The head, which fits into the buffer many times.
        let head = loop {
            if let Some(at) = memchr::memmem::find(&buffer[..filled], b"\r\n\r\n") {
                break at + 4;
            }
            match stream.read(&mut buffer[filled..]).await? {
                0 => return Ok(()),
                read => filled += read,
            }
        };
        let text = std::str::from_utf8(&buffer[..head]).unwrap();
        let found = find(answers, text.split(' ').nth(1).unwrap_or_default());
        let header = |name: &str| {
            text.lines().filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name))
        };
        let length: Option<usize> = header("content-length").map(|(_, value)| value.trim().parse().unwrap());
        let chunked = length.is_none() && header("transfer-encoding").is_some();
        if header("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        // The body, which is thrown away. Nobody sends a second request before the answer to the first.
        let mut seen = filled - head;
        buffer.copy_within(head..filled, 0);
        filled = seen.min(buffer.len());
        loop {
            let whole = if chunked { buffer[..filled].ends_with(b"0\r\n\r\n") } else { seen >= length.unwrap_or(0) };
            if whole {
                break;
            }
            // Of a chunked body the end is kept, in which its last chunk is.
            let keep = filled.min(8);
            buffer.copy_within(filled - keep..filled, 0);
            match stream.read(&mut buffer[keep..]).await? {
                0 => return Ok(()),
                read => {
                    seen += read;
                    filled = keep + read;
                }
            }
        }
        filled = 0;
        let Some(answer) = found else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        };
        stream.write_all(&answer.first).await?;
        if !answer.rest.pieces.is_empty() {
            let Ok(written) = pacer.write(stream.into_std()?, &answer.rest).await else { return Ok(()) };
            stream = TcpStream::from_std(written)?;
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut answers = Answers::new();
    let mut said = String::new();
    for pace in PACES {
        answers.push(FORMATS.iter().map(|format| answer(pace, *format)).collect());
    }
    for format in FORMATS {
        let events = format.events();
        assert_eq!(events.len(), EVENTS);
        let bytes: usize = events.iter().map(String::len).sum();
        let _ = write!(said, " {}/{}", format.json().len(), bytes);
    }
    let answers: &Answers = Box::leak(Box::new(answers));
    let pacer = Pacer::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{} {EVENTS}{said}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let _ = serve(stream, answers, pacer).await;
        });
    }
}
