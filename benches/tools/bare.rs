//! A filter that says to Envoy what Dragoman says to it for a relayed request, word by word, and does nothing else:
//! what any filter costs that reads a request and its answer, chooses the cluster, writes both heads, counts and logs.
//! The benchmark puts it where Dragoman's two stages are. What it takes over the idle filter is the host's.
//!
//! Its configuration may name a kind of call that is left out (see [`Kind`]): what is then saved is what these calls cost.

#![allow(clippy::disallowed_methods, reason = "a tool: it may fail by panicking")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ptr::null_mut;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, MapType, MetricType};

mod sys {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
        pub fn proxy_set_header_map_pairs(map: u32, data: *const u8, size: usize) -> u32;
    }
}

/// What can be left out.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    ReadHeaders,
    WriteHeaders,
    ReadBodies,
    WriteBody,
    Properties,
    Line,
    Histograms,
    Clock,
}

impl Kind {
    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"read-headers" => Kind::ReadHeaders,
            b"write-headers" => Kind::WriteHeaders,
            b"read-bodies" => Kind::ReadBodies,
            b"write-body" => Kind::WriteBody,
            b"properties" => Kind::Properties,
            b"line" => Kind::Line,
            b"histograms" => Kind::Histograms,
            b"clock" => Kind::Clock,
            _ => return None,
        })
    }

    fn is_made(self) -> bool {
        LEFT_OUT.get() != Some(self)
    }
}

/// A header map as it lies in memory: the SDK would make a text of each name and value.
fn map(map: MapType) -> Vec<u8> {
    if Kind::ReadHeaders.is_made() { read_map(map) } else { Vec::new() }
}

fn read_map(map: MapType) -> Vec<u8> {
    let (mut data, mut size) = (null_mut(), 0);
    // SAFETY: both pointers are valid for writing during the call.
    let status = unsafe { sys::proxy_get_header_map_pairs(map as u32, &mut data, &mut size) };
    if status != 0 || data.is_null() {
        return Vec::new();
    }
    // SAFETY: the host got this memory from the SDK's allocator, of exactly this capacity, and gives it away.
    unsafe { Vec::from_raw_parts(data, size, size) }
}

fn set_map(map: MapType, pairs: &[u8]) {
    if !Kind::WriteHeaders.is_made() {
        return;
    }
    // SAFETY: the slice outlives the call.
    unsafe { sys::proxy_set_header_map_pairs(map as u32, pairs.as_ptr(), pairs.len()) };
}

const REQUEST: &str = "dragoman.request";
/// By which an attempt finds its request.
const MARK: &str = "dragoman.18f3a9c2b7d41e05-17";
/// As long as the line of a relayed request.
const RECORD: &[u8] = &[b'a'; 650];
/// Where the model is named.
const HEAD: usize = 23;

type Known = BTreeMap<(usize, [u8; HEAD]), Vec<u8>>;

/// Of a whole answer: how long it took, and its tokens, input and output.
const HISTOGRAMS: [(&str, u64); 3] = [("bare_duration", 1), ("bare_input", 12), ("bare_output", 9)];

thread_local! {
    static IDS: [u32; 3] = HISTOGRAMS
        .map(|(name, _)| hostcalls::define_metric(MetricType::Histogram, name).expect("the host has histograms"));
    static LEFT_OUT: Cell<Option<Kind>> = const { Cell::new(None) };
    /// What is written where the provider's headers have not been read.
    static ANSWER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The beginning of the body that comes next.
    static BODY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The headers of requests, by the length of their bodies and how they begin: Dragoman knows those that it sends.
    static HEADERS: RefCell<Known> = const { RefCell::new(BTreeMap::new()) };
}

#[derive(Default)]
struct Root {
    is_route: bool,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        LEFT_OUT.set(self.get_plugin_configuration().and_then(|name| Kind::named(&name)));
        self.is_route = self.get_property(vec!["plugin_root_id"]).as_deref() == Some(b"route");
        true
    }

    fn create_http_context(&self, _context: u32) -> Option<Box<dyn HttpContext>> {
        Some(if self.is_route { Box::new(Route) } else { Box::new(Attempt::default()) })
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

/// Dragoman notes when a request came, an attempt began, and an answer began, which is its end where it comes whole.
fn look_at_clock() {
    if Kind::Clock.is_made() {
        let _ = hostcalls::get_current_time();
    }
}

struct Route;

impl Context for Route {}

impl HttpContext for Route {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        look_at_clock();
        drop(map(MapType::HttpRequestHeaders));
        if end { Action::Continue } else { Action::Pause }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        if Kind::ReadBodies.is_made() {
            let mut body = self.get_http_request_body(0, size).unwrap_or_default();
            body.truncate(HEAD);
            BODY.replace(body);
        }
        if Kind::Properties.is_made() {
            self.set_property(vec![MARK], Some(b""));
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        // Counters are told as sums of many requests, but each of these is a call.
        if Kind::Histograms.is_made() {
            IDS.with(|ids| {
                for (id, (_, value)) in ids.iter().zip(HISTOGRAMS) {
                    hostcalls::record_metric(*id, value).expect("it was defined");
                }
            });
        }
        if Kind::Line.is_made() {
            self.set_property(vec![REQUEST], Some(RECORD));
        }
    }
}

#[derive(Default)]
struct Attempt {
    head: Vec<u8>,
}

impl Context for Attempt {}

impl HttpContext for Attempt {
    fn on_http_request_headers(&mut self, _count: usize, end: bool) -> Action {
        if end { Action::Continue } else { Action::Pause }
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        look_at_clock();
        if Kind::Properties.is_made() {
            drop(self.get_property(vec![MARK]));
        }
        if Kind::WriteBody.is_made() {
            BODY.with_borrow_mut(|head| {
                // Where no body is read it is the first one's, which all of them begin with.
                if head.is_empty() {
                    *head = self.get_http_request_body(0, HEAD).unwrap_or_default();
                }
                self.set_http_request_body(0, head.len(), head);
            });
        }
        HEADERS.with_borrow_mut(|all| {
            let head = BODY.with_borrow(|head| head.first_chunk().copied().unwrap_or([0; HEAD]));
            let headers = all.entry((size, head)).or_insert_with(|| read_map(MapType::HttpRequestHeaders));
            set_map(MapType::HttpRequestHeaders, headers);
        });
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _count: usize, end: bool) -> Action {
        self.head = map(MapType::HttpResponseHeaders);
        if end { Action::Continue } else { Action::Pause }
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        if !end {
            return Action::Pause;
        }
        if Kind::ReadBodies.is_made() {
            drop(self.get_http_response_body(0, size));
        }
        look_at_clock();
        if Kind::ReadHeaders.is_made() {
            set_map(MapType::HttpResponseHeaders, &self.head);
        } else {
            ANSWER.with_borrow_mut(|head| {
                if head.is_empty() {
                    *head = read_map(MapType::HttpResponseHeaders);
                }
                set_map(MapType::HttpResponseHeaders, head);
            });
        }
        Action::Continue
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}
