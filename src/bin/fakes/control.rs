//! The control listener: faults in, records out. For the tests, never for what is tested.
//!
//! `PUT|DELETE /faults/<provider>`, `GET|DELETE /requests`, `GET /counts`, `PUT /options`, `GET /healthz`.

use std::sync::{Arc, PoisonError};

use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::body::{Body, Broken};
use crate::exchange::{Asked, Exchange};
use crate::record::Records;
use crate::serve::Handler;
use crate::target::parameters;

pub struct Control {
    pub records: Arc<Records>,
    pub exchanges: Vec<Arc<Exchange>>,
}

impl Handler for Control {
    async fn handle(
        self: Arc<Self>,
        _sni: Option<Arc<str>>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Broken> {
        let (parts, incoming) = request.into_parts();
        let body = text(incoming).await?;
        let query = parts.uri.query().unwrap_or_default();
        let (status, answer) = match self.control(&parts.method, parts.uri.path(), query, &body) {
            Ok(answer) => (StatusCode::OK, answer),
            Err((status, message)) => (status, json!({ "error": message })),
        };
        let mut response = Response::new(Body::whole(format!("{answer}\n")));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }
}

impl Control {
    fn control(&self, method: &Method, path: &str, query: &str, body: &str) -> Result<Value, (StatusCode, String)> {
        let bad = |message: String| (StatusCode::BAD_REQUEST, message);
        match (method.as_str(), path) {
            ("GET", "/healthz") => Ok(json!({"status": "ok"})),
            ("GET", "/counts") => Ok(self.records.counts()),
            ("GET", "/requests") => {
                let (mut provider, mut contains, mut since) = (None, None, 0);
                for (name, value) in parameters(query) {
                    match &*name {
                        "provider" => provider = Some(value),
                        "contains" => contains = Some(value),
                        "since" => since = value.parse().map_err(|_| bad(format!("since={value} is no number")))?,
                        _ => return Err(bad(format!("unknown parameter {name}"))),
                    }
                }
                Ok(self.records.matching(provider.as_deref(), contains.as_deref(), since))
            }
            ("DELETE", "/requests") => {
                self.records.clear();
                Ok(json!({}))
            }
            ("PUT", "/options") => match body.trim() {
                "full_bodies=1" => Ok(self.full_bodies(true)),
                "full_bodies=0" => Ok(self.full_bodies(false)),
                other => Err(bad(format!("`{other}` is no option; known: full_bodies=0|1"))),
            },
            (method, path) => {
                let exchange = path.strip_prefix("/faults/").and_then(|name| self.exchange(name));
                let exchange = exchange.ok_or_else(|| (StatusCode::NOT_FOUND, format!("nothing at {path}")))?;
                let asked = match method {
                    "PUT" => {
                        let faults = exchange.fake.vocabulary().parse(body);
                        let faults = faults.map_err(|unknown| bad(unknown.to_string()))?;
                        Some(Asked::new(faults))
                    }
                    "DELETE" => None,
                    _ => return Err((StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not for {path}"))),
                };
                *exchange.asked.lock().unwrap_or_else(PoisonError::into_inner) = asked;
                Ok(json!({}))
            }
        }
    }

    fn full_bodies(&self, full: bool) -> Value {
        self.records.set_full_bodies(full);
        json!({ "full_bodies": full })
    }

    fn exchange(&self, name: &str) -> Option<&Arc<Exchange>> {
        self.exchanges.iter().find(|exchange| exchange.fake.name() == name)
    }
}

async fn text(mut incoming: Incoming) -> Result<String, Broken> {
    let mut body = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| std::pin::Pin::new(&mut incoming).poll_frame(cx)).await {
        body.extend_from_slice(&frame.map_err(|_| Broken)?.into_data().unwrap_or_default());
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}
