//! Streams through Bedrock's InvokeModelWithResponseStream: Anthropic's own events in base64, each in a binary
//! frame of the type `chunk` (botocore 1.44.5, `bedrock-runtime`, ResponseStream).

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::stream::AnthropicStream;
use crate::chat::{Said, Usage};
use crate::error::UpstreamError;
use crate::json::{RawValue, Str};
use crate::provider::tolerant::{self, wire};
use crate::provider::{Sink, StreamTranslator, aws};
use crate::stream::Frame;

#[derive(Default)]
pub struct InvokeStream(AnthropicStream);

wire! {
    /// Further fields are padding and the like.
    struct Chunk<'a> {
        bytes: Option<&'a RawValue>,
    }
}

impl StreamTranslator for InvokeStream {
    fn frame(&mut self, frame: Frame<'_>, out: &mut dyn Sink) -> Result<(), UpstreamError> {
        if aws::is_exception(frame.event) {
            return Err(aws::read(200, Some(frame.event), frame.data.as_bytes()));
        }
        if frame.event != "chunk" {
            return self.0.frame(frame, out);
        }
        let event = tolerant::read_str::<Chunk<'_>>(frame.data).ok().and_then(|chunk| {
            let text = Str::new(chunk.bytes?)?.decode();
            String::from_utf8(STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()?).ok()
        });
        match event {
            Some(data) => self.0.frame(Frame { event: "", data: &data }, out),
            None => {
                out.skipped();
                Ok(())
            }
        }
    }

    fn again(&mut self, said: &Said<'_>, usage: Option<&RawValue>) -> Option<Usage> {
        self.0.again(said, usage)
    }
}
