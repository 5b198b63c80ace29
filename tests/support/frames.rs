//! The frames of an AWS event stream, taken apart and put together again, for tests that change what is in them.

use crc::{CRC_32_ISO_HDLC, Crc};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Headers and payload of each frame. The body has to be whole.
pub fn split(body: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let length = |at: usize| u32::from_be_bytes(rest[at..at + 4].try_into().unwrap()) as usize;
        let (total, headers) = (length(0), length(4));
        let payload = &rest[12 + headers..total - 4];
        frames.push((rest[12..12 + headers].to_vec(), payload.to_vec()));
        rest = &rest[total..];
    }
    frames
}

pub fn join(frames: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    frames.iter().flat_map(|(headers, payload)| frame(headers, payload)).collect()
}

/// A frame of an event of this name.
pub fn event(name: &str, payload: &str) -> (Vec<u8>, Vec<u8>) {
    message("event", name, payload.as_bytes())
}

/// A frame of an event or an exception.
pub fn message(kind: &str, name: &str, payload: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut headers = Vec::new();
    for (key, value) in [(&*format!(":{kind}-type"), name), (":message-type", kind)] {
        headers.push(key.len() as u8);
        headers.extend(key.as_bytes());
        headers.push(7);
        headers.extend((value.len() as u16).to_be_bytes());
        headers.extend(value.as_bytes());
    }
    (headers, payload.to_vec())
}

fn frame(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(((16 + headers.len() + payload.len()) as u32).to_be_bytes());
    out.extend((headers.len() as u32).to_be_bytes());
    out.extend(CRC.checksum(&out).to_be_bytes());
    out.extend(headers);
    out.extend(payload);
    out.extend(CRC.checksum(&out).to_be_bytes());
    out
}
