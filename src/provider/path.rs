//! Names in the path of a request.

/// A name as one segment of a path: all but RFC 3986's unreserved characters are encoded, as AWS's and Google's
/// own SDKs do. What is encoded already stays as it is: a percent sign encoded twice is another name.
pub fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 16);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte) {
            out.push(char::from(byte));
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().map_or('0', char::from);
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::segment;

    /// What botocore 1.44.5 sends for the same ids.
    #[test]
    fn a_name_is_encoded_once() {
        for (name, expected) in [
            ("anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-3-5-sonnet-20240620-v1%3A0"),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x-v1:0",
                "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.x-v1%3A0",
            ),
            ("a%3A0", "a%3A0"),
            ("a b?#~_", "a%20b%3F%23~_"),
            ("é", "%C3%A9"),
        ] {
            assert_eq!(segment(name), expected);
        }
    }
}
