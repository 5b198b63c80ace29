//! Where the Messages API is served: by Anthropic itself, on Vertex and through Bedrock's InvokeModel. Body and
//! events are the same; what stands in the path, in headers or in the body differs
//! (anthropic-sdk-python `lib/vertex`, `lib/bedrock`; Bedrock, Anthropic Claude Messages API).

use std::borrow::Cow;

use crate::chat::ChatRequest;
use crate::error::Rejection;
use crate::json::{self, Str, Writer};
use crate::provider::{Target, path};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    Anthropic,
    Vertex,
    Bedrock,
}

/// The first version without sampling parameters.
const WITHOUT_SAMPLING: &str = "2026-10-21";

impl Surface {
    pub fn path(self, target: &Target, stream: bool) -> String {
        let id = || path::segment(&target.id);
        match self {
            Surface::Anthropic => "/v1/messages".to_owned(),
            Surface::Vertex => {
                let setting = |setting: &Option<String>| setting.as_deref().map(path::segment).unwrap_or_default();
                let (project, region) = (setting(&target.project), setting(&target.region));
                let verb = if stream { "streamRawPredict" } else { "rawPredict" };
                // In it, an id's date keeps the sign that it stands behind, as the SDK writes it.
                let id = id().replace("%40", "@");
                format!("/v1/projects/{project}/locations/{region}/publishers/anthropic/models/{id}:{verb}")
            }
            Surface::Bedrock => {
                format!("/model/{}/invoke{}", id(), if stream { "-with-response-stream" } else { "" })
            }
        }
    }

    /// Writes the fields that say which model is meant and which version of the API.
    pub fn write_model(self, w: &mut Writer, target: &Target, betas: &[Cow<'_, str>]) {
        match self {
            Surface::Anthropic => {
                w.key("model").string(&target.id);
            }
            Surface::Vertex | Surface::Bedrock => {
                w.key("anthropic_version").string(version(target));
            }
        }
        if self == Surface::Bedrock && !betas.is_empty() {
            w.key("anthropic_beta").begin_array();
            for beta in betas {
                w.string(beta);
            }
            w.end_array();
        }
    }

    pub fn write_stream(self, w: &mut Writer, stream: bool) {
        if stream && self != Surface::Bedrock {
            w.key("stream").bool(true);
        }
    }

    pub fn headers(
        self,
        target: &Target,
        stream: bool,
        betas: &[Cow<'_, str>],
    ) -> Vec<(&'static str, Cow<'static, str>)> {
        let mut headers = Vec::new();
        match self {
            Surface::Anthropic => headers.push(("anthropic-version", version(target).to_owned().into())),
            Surface::Vertex => {}
            Surface::Bedrock if stream => headers.push(("accept", "application/vnd.amazon.eventstream".into())),
            Surface::Bedrock => {}
        }
        if self != Surface::Bedrock && !betas.is_empty() {
            headers.push(("anthropic-beta", betas.join(",").into()));
        }
        headers
    }
}

fn version(target: &Target) -> &str {
    target.api_version.as_deref().unwrap_or_default()
}

/// Whether the version that is pinned still has sampling parameters. Vertex and Bedrock put their names
/// before the versions of old.
pub fn has_sampling(target: &Target) -> bool {
    let version = version(target);
    version.trim_start_matches(|char: char| !char.is_ascii_digit()) < WITHOUT_SAMPLING
}

/// The betas that a client asks for, in a list or in one string as in the header.
pub fn betas<'a>(chat: &ChatRequest<'a>) -> Result<Vec<Cow<'a, str>>, Rejection> {
    const NAME: &str = "anthropic_beta";
    let invalid = || Rejection::invalid(NAME, format!("'{NAME}' must be a list of the names of betas."));
    let Some(value) = chat.field(NAME) else { return Ok(Vec::new()) };
    let names = match Str::new(value).map(Str::decode) {
        Some(text) => text.split(',').map(|name| Cow::Owned(name.trim().to_owned())).collect(),
        None => {
            let list = json::elements(value).ok_or_else(invalid)?;
            let names: Option<Vec<_>> = list.into_iter().map(|name| Str::new(name).map(Str::decode)).collect();
            names.ok_or_else(invalid)?
        }
    };
    // It goes into a header.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if names.iter().any(|name| !(1..=128).contains(&name.len()) || !name.bytes().all(plain)) {
        return Err(invalid());
    }
    Ok(names)
}
