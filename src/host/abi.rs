//! Calls to the host, by the proxy-wasm ABI 0.2.1.
//!
//! The SDK's own wrappers panic on statuses that they do not expect and on header values that are not
//! UTF-8; either would take the VM down with every request in it. These give `None` or do nothing, and
//! they take and give bytes.

use std::ptr::null_mut;
use std::time::Duration;

use crate::headers::{Headers, Pair};
use crate::memory::append;
use crate::metrics::Kind;

#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Map {
    RequestHeaders = 0,
    RequestTrailers = 1,
    ResponseHeaders = 2,
    ResponseTrailers = 3,
}

#[derive(Clone, Copy)]
#[repr(u32)]
pub enum Buffer {
    RequestBody = 0,
    ResponseBody = 1,
    PluginConfiguration = 7,
}

mod sys {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> u32;
        pub fn proxy_set_header_map_pairs(map: u32, data: *const u8, size: usize) -> u32;
        pub fn proxy_replace_header_map_value(
            map: u32,
            key: *const u8,
            key_size: usize,
            value: *const u8,
            value_size: usize,
        ) -> u32;
        pub fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> u32;
        pub fn proxy_get_buffer_bytes(
            buffer: u32,
            start: usize,
            max_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
        ) -> u32;
        pub fn proxy_set_buffer_bytes(buffer: u32, start: usize, size: usize, data: *const u8, data_size: usize)
        -> u32;
        pub fn proxy_get_property(path: *const u8, path_size: usize, data: *mut *mut u8, size: *mut usize) -> u32;
        pub fn proxy_set_property(path: *const u8, path_size: usize, data: *const u8, size: usize) -> u32;
        pub fn proxy_send_local_response(
            status: u32,
            details: *const u8,
            details_size: usize,
            body: *const u8,
            body_size: usize,
            headers: *const u8,
            headers_size: usize,
            grpc_status: i32,
        ) -> u32;
        pub fn proxy_call_foreign_function(
            name: *const u8,
            name_size: usize,
            arguments: *const u8,
            arguments_size: usize,
            results: *mut *mut u8,
            results_size: *mut usize,
        ) -> u32;
        pub fn proxy_get_shared_data(
            key: *const u8,
            key_size: usize,
            data: *mut *mut u8,
            size: *mut usize,
            version: *mut u32,
        ) -> u32;
        pub fn proxy_set_shared_data(
            key: *const u8,
            key_size: usize,
            data: *const u8,
            size: usize,
            version: u32,
        ) -> u32;
        pub fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> u32;
        pub fn proxy_increment_metric(id: u32, amount: i64) -> u32;
        pub fn proxy_record_metric(id: u32, value: u64) -> u32;
        pub fn proxy_get_current_time_nanoseconds(time: *mut u64) -> u32;
        pub fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
        pub fn proxy_set_effective_context(context: u32) -> u32;
        pub fn proxy_close_stream(stream: u32) -> u32;
    }
}

/// Runs a call that hands out memory, which the host has taken from our own allocator.
fn received(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Option<Vec<u8>> {
    let mut data: *mut u8 = null_mut();
    let mut size: usize = 0;
    if call(&mut data, &mut size) != 0 {
        return None;
    }
    if data.is_null() {
        return Some(Vec::new());
    }
    // SAFETY: the host got this memory from the SDK's `proxy_on_memory_allocate`, which leaks a Vec of
    // exactly this capacity, and gives it away with this call.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

pub fn headers(map: Map) -> Headers {
    // SAFETY: both pointers are valid for writing during the call.
    let bytes = received(|data, size| unsafe { sys::proxy_get_header_map_pairs(map as u32, data, size) });
    decode_pairs(bytes.unwrap_or_default()).unwrap_or_default()
}

/// Replaces the whole map.
pub fn set_headers(map: Map, headers: &Headers) {
    let bytes = encode_pairs(headers);
    // SAFETY: the slice outlives the call.
    unsafe { sys::proxy_set_header_map_pairs(map as u32, bytes.as_ptr(), bytes.len()) };
}

pub fn set_header(map: Map, name: &str, value: &str) {
    // SAFETY: the slices outlive the call.
    unsafe {
        sys::proxy_replace_header_map_value(map as u32, name.as_ptr(), name.len(), value.as_ptr(), value.len());
    }
}

pub fn remove_header(map: Map, name: &str) {
    // SAFETY: the slice outlives the call.
    unsafe { sys::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) };
}

pub fn body(buffer: Buffer, size: usize) -> Vec<u8> {
    // SAFETY: both pointers are valid for writing during the call.
    received(|data, out| unsafe { sys::proxy_get_buffer_bytes(buffer as u32, 0, size, data, out) }).unwrap_or_default()
}

/// Replaces the first `size` bytes of a body.
pub fn set_body(buffer: Buffer, size: usize, data: &[u8]) {
    // SAFETY: the slice outlives the call.
    unsafe { sys::proxy_set_buffer_bytes(buffer as u32, 0, size, data.as_ptr(), data.len()) };
}

pub fn configuration() -> Vec<u8> {
    body(Buffer::PluginConfiguration, usize::MAX)
}

pub fn property(name: &str) -> Option<Vec<u8>> {
    // SAFETY: all pointers are valid during the call.
    received(|data, size| unsafe { sys::proxy_get_property(name.as_ptr(), name.len(), data, size) })
}

/// Whether there is a property of this name with nothing in it, which takes no memory to tell.
pub fn has_empty_property(name: &str) -> bool {
    property(name).is_some_and(|value| value.is_empty())
}

/// Writes filter state: Envoy calls it `wasm.` and this name.
pub fn set_property(name: &str, value: &[u8]) {
    // SAFETY: the slices outlive the call.
    unsafe { sys::proxy_set_property(name.as_ptr(), name.len(), value.as_ptr(), value.len()) };
}

/// What all workers share under a key, and its version; a key that nobody has written has version 0.
pub fn shared(key: &str) -> (Vec<u8>, u32) {
    let mut version = 0;
    // SAFETY: all pointers are valid during the call.
    let bytes =
        received(|data, size| unsafe { sys::proxy_get_shared_data(key.as_ptr(), key.len(), data, size, &mut version) });
    match bytes {
        Some(bytes) => (bytes, version),
        None => (Vec::new(), 0),
    }
}

/// Writes it, unless somebody else has since; 0 writes whatever is there. Tells whether it did.
pub fn set_shared(key: &str, value: &[u8], version: u32) -> bool {
    // SAFETY: the slices outlive the call.
    unsafe { sys::proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), version) == 0 }
}

/// The id of a metric, which is the same for all workers.
pub fn define_metric(kind: Kind, name: &str) -> Option<u32> {
    let kind = match kind {
        Kind::Counter => 0,
        Kind::Gauge => 1,
        Kind::Histogram => 2,
    };
    let mut id = 0;
    // SAFETY: the slice and the pointer are valid during the call.
    let status = unsafe { sys::proxy_define_metric(kind, name.as_ptr(), name.len(), &mut id) };
    (status == 0).then_some(id)
}

/// Adds to a counter.
pub fn increment_metric(id: u32, amount: i64) {
    // SAFETY: a call by value.
    unsafe { sys::proxy_increment_metric(id, amount) };
}

/// Sets a gauge, or notes a value of a histogram.
pub fn record_metric(id: u32, value: u64) {
    // SAFETY: a call by value.
    unsafe { sys::proxy_record_metric(id, value) };
}

/// By these response code details Envoy's `local_reply_config` knows replies of ours, which it must
/// not put into another shape.
const REPLY_DETAILS: &str = "dragoman";

/// Answers the client without asking anybody.
pub fn reply(status: u16, headers: &Headers, body: &[u8]) {
    let headers = encode_pairs(headers);
    // SAFETY: the slices outlive the call.
    unsafe {
        sys::proxy_send_local_response(
            status.into(),
            REPLY_DETAILS.as_ptr(),
            REPLY_DETAILS.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        );
    }
}

/// Makes Envoy choose the route again, now that the filter state says more.
pub fn clear_route_cache() {
    const NAME: &str = "clear_route_cache";
    received(|data, size| {
        // SAFETY: all pointers are valid during the call; the function takes no arguments.
        unsafe { sys::proxy_call_foreign_function(NAME.as_ptr(), NAME.len(), null_mut(), 0, data, size) }
    });
}

/// Since the Unix epoch.
pub fn now() -> Duration {
    let mut nanoseconds = 0;
    // SAFETY: the pointer is valid for writing during the call.
    unsafe { sys::proxy_get_current_time_nanoseconds(&mut nanoseconds) };
    Duration::from_nanos(nanoseconds)
}

/// Asks for `on_tick` of the root context that is running.
pub fn set_tick_period(period: Duration) {
    // SAFETY: a call by value.
    unsafe { sys::proxy_set_tick_period_milliseconds(u32::try_from(period.as_millis()).unwrap_or(u32::MAX)) };
}

/// Makes the calls that follow this context's, instead of the one's that is running. Tells whether it is there.
pub fn speak_for(context: u32) -> bool {
    // SAFETY: a call by value.
    unsafe { sys::proxy_set_effective_context(context) == 0 }
}

/// Breaks the transfer of an answer off.
pub fn reset_stream() {
    const RESPONSE: u32 = 1;
    // SAFETY: a call by value.
    unsafe { sys::proxy_close_stream(RESPONSE) };
}

/// The ABI's form of a header map: the number of pairs, the sizes of all names and values, then the
/// names and values, each with a NUL behind it; numbers are 32 bits, little-endian.
fn encode_pairs(headers: &Headers) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + 8 * headers.len() + headers.text().len());
    append(&mut out, &(headers.len() as u32).to_le_bytes());
    for (name, value) in headers.lengths() {
        append(&mut out, &(name as u64 | (value as u64) << 32).to_le_bytes());
    }
    append(&mut out, headers.text());
    out
}

/// The names and values stay where the host has put them.
fn decode_pairs(mut bytes: Vec<u8>) -> Option<Headers> {
    let number = |at: usize| {
        let bytes: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes) as usize)
    };
    let count = number(0)?;
    let mut pairs = Vec::with_capacity(count.min(256));
    let start = 4 + count.checked_mul(8)?;
    let mut at = start;
    for index in 0..count {
        let name = at..at.checked_add(number(4 + index * 8)?)?;
        let value = name.end + 1..(name.end + 1).checked_add(number(8 + index * 8)?)?;
        at = value.end + 1;
        pairs.push(Pair { name, value });
    }
    bytes.truncate(at);
    Some(Headers::within(bytes, start, pairs))
}
