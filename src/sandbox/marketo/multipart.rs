//! The parts of a `multipart/form-data` body.

/// One part: the name of its field and what is in it.
#[derive(Debug, PartialEq)]
pub(super) struct Part<'a> {
    pub name: String,
    pub content: &'a [u8],
}

/// All parts of a body; nothing when it is not well-formed.
pub(super) fn parts<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<Part<'a>>> {
    let boundary = content_type.split(';').map(str::trim).find_map(|part| part.strip_prefix("boundary="))?;
    let marker = format!("--{}", boundary.trim_matches('"'));
    let mut parts = Vec::new();
    let mut rest = after(body, marker.as_bytes())?;
    while !rest.starts_with(b"--") {
        rest = rest.strip_prefix(b"\r\n")?;
        let head = position(rest, b"\r\n\r\n")?;
        let (head, content) = (rest.get(..head)?, rest.get(head + 4..)?);
        let end = position(content, format!("\r\n{marker}").as_bytes())?;
        let name = std::str::from_utf8(head).ok()?.lines().find_map(field_name)?;
        parts.push(Part { name, content: content.get(..end)? });
        rest = after(content, marker.as_bytes())?;
    }
    Some(parts)
}

/// The name in a `Content-Disposition` line.
fn field_name(line: &str) -> Option<String> {
    let (header, value) = line.split_once(':')?;
    let is_it = header.trim().eq_ignore_ascii_case("content-disposition");
    let mut names = value.split(';').filter_map(|part| part.trim().strip_prefix("name="));
    names.next().filter(|_| is_it).map(|name| name.trim_matches('"').to_owned())
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn after<'a>(text: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    text.get(position(text, wanted)? + wanted.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let body = b"--x\r\nContent-Disposition: form-data; name=\"format\"\r\n\r\ncsv\r\n--x\r\ncontent-disposition: \
                     form-data; name=\"file\"; filename=\"a.csv\"\r\nContent-Type: text/csv\r\n\r\na,b\r\n1,2\r\n--x--\r\n";
        let parts = parts("multipart/form-data; boundary=x", body).unwrap();
        let parts: Vec<_> =
            parts.iter().map(|part| (part.name.as_str(), std::str::from_utf8(part.content).unwrap())).collect();
        assert_eq!(parts, [("format", "csv"), ("file", "a,b\r\n1,2")]);
        for broken in ["", "--x", "--x\r\n", "--x\r\n\r\n", "--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--"] {
            assert_eq!(super::parts("multipart/form-data; boundary=x", broken.as_bytes()), None, "{broken}");
        }
        assert_eq!(super::parts("multipart/form-data", body), None);
    }
}
