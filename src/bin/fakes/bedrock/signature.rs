//! AWS Signature Version 4, as AWS checks it: the request is signed again and both must be the same.
//!
//! Reference: "Create a signed AWS API request" in the IAM user guide. The secret key is the fake's key; the id of the
//! access key is [`ACCESS_KEY`]. Time is not checked: nothing here knows any.

use std::fmt::Write;

use ring::{digest, hmac};

use crate::strict::Refusal;
use crate::target::Received;

pub const REGION: &str = "us-east-1";
pub const ACCESS_KEY: &str = "AKIDFAKE";

const SERVICE: &str = "bedrock";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// An exception of status 403 and its message.
pub struct Problem {
    pub kind: &'static str,
    pub message: String,
}

impl From<Problem> for Refusal {
    fn from(Problem { kind, message }: Problem) -> Self {
        Refusal::new(403, kind, message)
    }
}

fn incomplete(message: impl Into<String>) -> Problem {
    Problem { kind: "IncompleteSignatureException", message: message.into() }
}

pub fn check(request: &Received<'_>, authorization: &str, secret: &str) -> Result<(), Problem> {
    let rest = authorization
        .strip_prefix(ALGORITHM)
        .ok_or_else(|| incomplete("Authorization header requires 'Credential' parameter."))?;
    let parameter = |name: &str| {
        let parts = rest.split(',').map(str::trim);
        let mut values = parts.filter_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        values.next().ok_or_else(|| incomplete(format!("Authorization header requires '{name}' parameter.")))
    };
    let (credential, signed, given) = (parameter("Credential")?, parameter("SignedHeaders")?, parameter("Signature")?);
    let date = request.header("x-amz-date").filter(|date| date.len() == 16).ok_or_else(|| {
        incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    })?;
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{REGION}/{SERVICE}/aws4_request");
    match credential.split_once('/') {
        Some((id, _)) if id != ACCESS_KEY => {
            return Err(Problem {
                kind: "UnrecognizedClientException",
                message: "The security token included in the request is invalid.".into(),
            });
        }
        Some((_, given)) if given == scope => {}
        _ => return Err(incomplete(format!("Credential should be scoped to a valid region and service: {scope}"))),
    }
    let names: Vec<&str> = signed.split(';').collect();
    if !names.is_sorted() || !names.contains(&"host") {
        return Err(incomplete("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."));
    }
    // All of AWS's own headers that are there have to be signed.
    if let Some(name) =
        request.headers.keys().find(|name| name.as_str().starts_with("x-amz-") && !names.contains(&name.as_str()))
    {
        return Err(incomplete(format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.")));
    }
    let canonical = canonical_request(request, &names)?;
    let text = format!("{ALGORITHM}\n{date}\n{scope}\n{}", sha256(canonical.as_bytes()));
    let key = [day, REGION, SERVICE, "aws4_request"]
        .iter()
        .fold(format!("AWS4{secret}").into_bytes(), |key, part| sign(&key, part));
    if hex(&sign(&key, &text)) == given {
        return Ok(());
    }
    let message = format!(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access \
         Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this \
         request should have been\n'{canonical}'\n\nThe String-to-Sign should have been\n'{text}'\n"
    );
    Err(Problem { kind: "InvalidSignatureException", message })
}

fn canonical_request(request: &Received<'_>, signed: &[&str]) -> Result<String, Problem> {
    let hash = sha256(request.body);
    if let Some(given) = request.header("x-amz-content-sha256").filter(|given| *given != hash) {
        return Err(Problem {
            kind: "InvalidSignatureException",
            message: format!("The value of 'x-amz-content-sha256' is '{given}', the body's is '{hash}'"),
        });
    }
    let mut text =
        format!("{}\n{}\n{}\n", request.target.method, canonical_path(request.target.path()), request.target.query());
    for name in signed {
        let values: Vec<_> = match *name {
            "host" => request.host().into_iter().collect(),
            name => request.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect(),
        };
        if values.is_empty() {
            return Err(incomplete(format!("'{name}' is signed and not there")));
        }
        let value = values.join(",").split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "{name}:{value}");
    }
    let _ = write!(text, "\n{}\n{hash}", signed.join(";"));
    Ok(text)
}

/// The path as it was sent, encoded once more: for every service but S3, percent signs are, too.
fn canonical_path(path: &str) -> String {
    path.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use hyper::{HeaderMap, Method};

    use super::*;
    use crate::target::Target;

    /// Signed by botocore 1.44.5, session token included.
    const SIGNED: &[(&str, &str)] = &[
        ("content-type", "application/json"),
        ("host", "bedrock-runtime.us-east-1.amazonaws.com"),
        ("x-amz-date", "20261121T144029Z"),
        ("x-amz-security-token", "token"),
    ];
    const BODY: &[u8] = br#"{"messages": [{"role": "user", "content": [{"text": "hi"}]}]}"#;
    const SIGNATURE: &str = "22fdbfeedea5a63cddf174c5d7fdde7630b05f69b61355103989e36840e0fdb8";

    fn problem(path: &str, body: &[u8], signature: &str, secret: &str) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in SIGNED {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        let target = Target::new(&Method::POST, &path.parse().unwrap());
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDFAKE/20261121/us-east-1/bedrock/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature={signature}"
        );
        let request = Received { target: &target, headers: &headers, body };
        check(&request, &authorization, secret).err().map(|problem| problem.kind)
    }

    #[test]
    fn a_signature_of_botocores_is_right_and_every_change_is_seen() {
        const PATH: &str = "/model/anthropic.claude-fake-v1%3A0/converse";
        assert_eq!(problem(PATH, BODY, SIGNATURE, "secret"), None);
        let mismatch = Some("InvalidSignatureException");
        assert_eq!(problem(PATH, BODY, SIGNATURE, "other"), mismatch);
        assert_eq!(problem(PATH, b"{}", SIGNATURE, "secret"), mismatch);
        assert_eq!(problem("/model/anthropic.claude-fake-v1:0/converse", BODY, SIGNATURE, "secret"), mismatch);
        assert_eq!(problem(PATH, BODY, &SIGNATURE.replace('a', "b"), "secret"), mismatch);
    }
}
