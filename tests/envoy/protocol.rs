//! HTTP/2, TLS, trailers, and header values that are not text: the corners of the protocols.

use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, Request};

use crate::client::{Body, chat, post, request, send, send_http2};
use crate::world::{PROVIDERS, marker, shared, shown};

const JSON: (&str, &str) = ("content-type", "application/json");

fn with_trailers(request: Request<Body>) -> Request<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-client-trailer", HeaderValue::from_static("the-client-s-own"));
    trailers.insert("authorization", HeaderValue::from_static("Bearer the-client-s-own"));
    request.map(|body| body.with_trailers(async { Some(Ok(trailers)) }).boxed())
}

#[tokio::test]
async fn clients_of_http2_are_served_with_and_without_trailers() {
    let world = shared();
    for model in ["openai", "anthropic", "from:openai/status-503", "from:anthropic/error_in_200"] {
        for stream in [false, true] {
            for trailers in [false, true] {
                let text = marker();
                let mut request = post(&[JSON], chat(model, stream, &text).to_string());
                if trailers {
                    request = with_trailers(request);
                }
                let reply = send_http2(world.envoy.address, request).await;
                reply.well_formed().unwrap();
                assert!(reply.status == 200 && reply.text().contains(&text), "{model}: {}", shown(&reply));
                assert_eq!(reply.trailers, None, "{model}");
                let records = world.received(&text).await;
                assert!(records.iter().all(|record| !record.to_string().contains("the-client-s-own")), "{records:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_of_http2_that_sends_nothing_is_told_so() {
    let world = shared();
    for request in [post(&[JSON], ""), with_trailers(post(&[JSON], "")), with_trailers(post(&[JSON], "{"))] {
        let reply = send_http2(world.envoy.address, request).await;
        assert_eq!(reply.status, 400, "{}", shown(&reply));
        reply.error();
    }
    let reply = send_http2(world.envoy.address, request("GET", "/v1/models", &[], "")).await;
    assert_eq!(reply.status, 200, "{}", shown(&reply));
}

#[tokio::test]
async fn trailers_of_a_chunked_body_are_dropped() {
    let world = shared();
    for provider in PROVIDERS {
        let text = marker();
        let mut request = with_trailers(post(&[JSON], chat(provider, false, &text).to_string()));
        request.headers_mut().insert("trailer", HeaderValue::from_static("x-client-trailer"));
        let reply = send(world.envoy.address, request).await;
        assert!(reply.status == 200 && reply.text().contains(&text), "{}", shown(&reply));
        assert!(!world.received(&text).await[0].to_string().contains("the-client-s-own"));
    }
}

#[tokio::test]
async fn header_values_that_are_not_text_harm_nobody() {
    let world = shared();
    let bad = || HeaderValue::from_bytes(b"caf\xe9 \xff\xfe").unwrap();
    for name in [
        "x-client-bad",
        "x-dragoman-strict",
        "x-dragoman-commit",
        "content-type",
        "content-encoding",
        "x-envoy-bad",
        "accept",
        "user-agent",
        "x-request-id",
    ] {
        let mut request = post(&[], chat("openai", false, "hello").to_string());
        request.headers_mut().insert(HeaderName::from_static(name), bad());
        let reply = send(world.envoy.address, request).await;
        assert!(matches!(reply.status, 200 | 400 | 415), "{name}: {}", shown(&reply));
        reply.well_formed().unwrap();
        let mut request = post(&[], chat("anthropic", true, "hello").to_string());
        request.headers_mut().insert(HeaderName::from_static(name), bad());
        let reply = send_http2(world.envoy.address, request).await;
        assert!(matches!(reply.status, 200 | 400 | 415), "{name}: {}", shown(&reply));
        reply.well_formed().unwrap();
    }
    for provider in PROVIDERS {
        for stream in [false, true] {
            for fault in ["bad_header", "bad_header:trailers", "trailers"] {
                world.answered(&format!("{provider}/{fault}"), stream).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn tls_negotiates_http2_and_names_the_host_it_wants() {
    let world = shared();
    for provider in PROVIDERS {
        for stream in [false, true] {
            for suffix in ["", "/trailers"] {
                let (reply, text) = world.answered(&format!("{provider}-tls{suffix}"), stream).await.unwrap();
                assert_eq!(reply.trailers, None);
                let record = &world.received(&text).await[0];
                assert_eq!(record["http_version"], "HTTP/2.0", "{record}");
                assert_eq!(record["sni"], "localhost", "{record}");
            }
        }
    }
}

/// Behind the last piece of a body nothing can be written any more, not even that it is not whole.
#[tokio::test]
async fn a_stream_that_is_cut_before_its_trailers_does_not_look_whole() {
    let world = shared();
    for provider in PROVIDERS {
        let reply = world.ask(&chat(&format!("{provider}-tls/cut"), true, "lorem 20")).await;
        assert!(reply.status == 200 && !reply.text().is_empty(), "{}", shown(&reply));
        assert!(reply.broken.is_some() && !reply.is_done(), "{provider}: {}", shown(&reply));
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_the_provider_s_is_an_unreachable_target() {
    let world = shared();
    for end in ["wrong-name", "unknown-ca"] {
        for stream in [false, true] {
            let (reply, text) = world.answered(&format!("from:{end}"), stream).await.unwrap();
            assert_eq!((reply.attempts(), reply.header("x-dragoman-model")), (2, "anthropic-tls"), "{}", shown(&reply));
            assert_eq!(world.asked(&text).await, ["anthropic"]);
        }
        let text = marker();
        let reply = world.ask(&chat(&format!("openai-{end}"), false, &text)).await;
        assert_eq!((reply.status, reply.error()["code"].as_str()), (503, Some("upstream_unreachable")));
        assert!(!String::from_utf8_lossy(&reply.body()).contains("TLS"), "{}", shown(&reply));
        assert!(world.received(&text).await.is_empty());
    }
}

#[tokio::test]
async fn a_client_that_expects_a_100_is_told_to_go_on() {
    let world = shared();
    let text = marker();
    let request = post(&[JSON, ("expect", "100-continue")], Bytes::from(chat("anthropic", false, &text).to_string()));
    let reply = send(world.envoy.address, request).await;
    assert!(reply.status == 200 && reply.text().contains(&text), "{}", shown(&reply));
}
