//! The client's side: requests over HTTP/1.1 or HTTP/2, and what comes back, piece by piece.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use dragoman::headers::Headers;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Frame};
use hyper::client::conn::{http1, http2};
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::reader;

/// Far above what any request of these tests takes: who waits longer hangs.
const HANGS: Duration = Duration::from_secs(60);

pub type Body = BoxBody<Bytes, Infallible>;

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    /// The pieces of the body with the time since the request at which each arrived.
    pub pieces: Vec<(Duration, Bytes)>,
    pub trailers: Option<HeaderMap>,
    /// Why the transfer broke, if it did.
    pub broken: Option<String>,
    pub took: Duration,
}

impl Reply {
    pub fn body(&self) -> Vec<u8> {
        self.pieces.iter().map(|(_, piece)| piece.as_ref()).collect::<Vec<_>>().concat()
    }

    pub fn json(&self) -> Value {
        let body = self.body();
        serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, String::from_utf8_lossy(&body)))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn attempts(&self) -> u64 {
        self.header("x-dragoman-attempts").parse().unwrap_or(0)
    }

    /// Whether this is what a client of OpenAI's can read: a whole answer, or an error.
    pub fn well_formed(&self) -> Result<(), String> {
        if let Some(broken) = &self.broken {
            return Err(format!("the transfer broke: {broken}"));
        }
        let mut headers = Headers::default();
        for (name, value) in &self.headers {
            headers.push(name.as_str(), value.as_bytes());
        }
        reader::read(self.status, &headers, &self.body())
    }

    /// The text of the answer's first choice.
    pub fn text(&self) -> String {
        if !self.header("content-type").starts_with("text/event-stream") {
            return self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
        }
        let deltas = self
            .events()
            .into_iter()
            .filter_map(|chunk| Some(chunk["choices"].get(0)?["delta"].get("content")?.as_str()?.to_owned()));
        deltas.collect()
    }

    /// The events of a stream, `[DONE]` apart.
    pub fn events(&self) -> Vec<Value> {
        let body = String::from_utf8(self.body()).unwrap();
        let data = body.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        data.map(|data| serde_json::from_str(data).unwrap()).collect()
    }

    /// What the client is told of its tokens, in either shape; `null` if nothing.
    pub fn usage(&self) -> Value {
        let last = self.events().pop();
        last.unwrap_or_else(|| self.json())["usage"].clone()
    }

    pub fn is_done(&self) -> bool {
        self.body().ends_with(b"data: [DONE]\n\n")
    }

    /// The error of an answer in OpenAI's shape.
    pub fn error(&self) -> Value {
        if let Err(problem) = self.well_formed() {
            panic!("{problem}: {} {}", self.status, String::from_utf8_lossy(&self.body()));
        }
        self.json()["error"].clone()
    }
}

/// A request for a chat completion with one message.
pub fn chat(model: &str, stream: bool, text: &str) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]})
}

pub fn post(headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Body> {
    request("POST", "/v1/chat/completions", headers, body)
}

pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.into()).boxed()).unwrap()
}

/// A body of which nobody says how long it is.
pub fn chunked(pieces: Vec<Bytes>) -> Body {
    Pieces(pieces.into_iter()).boxed()
}

struct Pieces(std::vec::IntoIter<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }
}

/// One request over a connection of its own.
pub async fn send(address: SocketAddr, request: Request<Body>) -> Reply {
    Connection::open(address).await.send(request).await.unwrap_or_else(|error| panic!("no answer: {error}"))
}

async fn http2(address: SocketAddr, request: &mut Request<Body>) -> (http2::SendRequest<Body>, JoinHandle<()>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let uri = format!("http://gateway{}", request.uri());
    *request.uri_mut() = uri.parse().unwrap();
    (sender, tokio::spawn(async move { drop(connection.await) }))
}

/// Only the beginning of an answer: the stream is reset, and the connection stays.
pub async fn leave_http2(address: SocketAddr, mut request: Request<Body>, after: Duration) {
    let (mut sender, connection) = http2(address, &mut request).await;
    let response = sender.send_request(request).await.unwrap_or_else(|error| panic!("no answer: {error}"));
    tokio::time::sleep(after).await;
    drop(response);
    tokio::time::sleep(after).await;
    connection.abort();
}

pub async fn send_http2(address: SocketAddr, mut request: Request<Body>) -> Reply {
    let (mut sender, connection) = http2(address, &mut request).await;
    let began = Instant::now();
    let reply = tokio::time::timeout(HANGS, async {
        let response = sender.send_request(request).await.unwrap_or_else(|error| panic!("no answer: {error}"));
        read(response, began).await
    });
    let reply = reply.await.expect("the request hangs");
    connection.abort();
    reply
}

/// An HTTP/1.1 connection that is kept.
pub struct Connection {
    sender: http1::SendRequest<Body>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Connection { sender }
    }

    pub async fn send(&mut self, request: Request<Body>) -> Result<Reply, hyper::Error> {
        let began = Instant::now();
        let response = self.begin(request).await?;
        Ok(tokio::time::timeout(HANGS, read(response, began)).await.expect("the answer hangs"))
    }

    /// Only up to the answer's headers.
    pub async fn begin(&mut self, mut request: Request<Body>) -> Result<Response<hyper::body::Incoming>, hyper::Error> {
        if !request.headers().contains_key("host") {
            request.headers_mut().insert("host", hyper::header::HeaderValue::from_static("gateway"));
        }
        self.sender.ready().await?;
        tokio::time::timeout(HANGS, self.sender.send_request(request)).await.expect("the request hangs")
    }
}

async fn read(response: Response<hyper::body::Incoming>, began: Instant) -> Reply {
    let (head, mut body) = response.into_parts();
    let mut reply = Reply {
        status: head.status.as_u16(),
        headers: head.headers,
        pieces: Vec::new(),
        trailers: None,
        broken: None,
        took: Duration::ZERO,
    };
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => reply.pieces.push((began.elapsed(), data)),
            Ok(Err(frame)) => reply.trailers = frame.into_trailers().ok(),
            Err(error) => {
                reply.broken = Some(error.to_string());
                break;
            }
        }
    }
    reply.took = began.elapsed();
    reply
}
