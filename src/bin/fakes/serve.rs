//! Sockets, TLS and HTTP connections: bytes become requests here, and a handler answers them.
//!
//! HTTP/1.1 and HTTP/2 on every listener, told apart by ALPN or by the first bytes. Nothing here knows
//! who answers.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::body::{Body, Broken};

/// Benchmarks put all their streams on one connection.
const MOST_STREAMS: u32 = 10_000;

pub trait Handler: Send + Sync + 'static {
    /// An error drops the connection (of HTTP/2: the stream) without an answer.
    fn handle(
        self: Arc<Self>,
        sni: Option<Arc<str>>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Body>, Broken>> + Send;
}

/// Starts to serve and returns where.
pub async fn serve(
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    handler: Arc<impl Handler>,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(connection(stream, tls.clone(), Arc::clone(&handler)))),
                // Out of file descriptors: others have to close theirs first.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    Ok(address)
}

/// Ends quietly with its connection: a client that goes away is in the records.
async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, handler: Arc<impl Handler>) {
    // A token must leave when it is written, or the pace is the kernel's.
    let _ = stream.set_nodelay(true);
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http2().max_concurrent_streams(MOST_STREAMS);
    let Some(tls) = tls else {
        let service = service_fn(|request| Arc::clone(&handler).handle(None, request));
        let _ = http.serve_connection(TokioIo::new(stream), service).await;
        return;
    };
    let Ok(stream) = tls.accept(stream).await else { return };
    let sni: Option<Arc<str>> = stream.get_ref().1.server_name().map(Into::into);
    let service = service_fn(|request| Arc::clone(&handler).handle(sni.clone(), request));
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}
