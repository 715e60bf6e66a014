//! Descriptions of shop exports are HTML; ours are plain text, which every page can show safely.

/// The text of a fragment: tags go, blocks become lines, the common entities are resolved, the
/// contents of `script` and `style` are dropped.
pub(super) fn plain_text(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        decode(&rest[..start], &mut out);
        rest = &rest[start..];
        let inside = rest[1..].trim_start_matches('/');
        if !inside.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!') {
            out.push('<');
            rest = &rest[1..];
            continue;
        }
        let Some(end) = rest.find('>') else {
            rest = "";
            break;
        };
        let name: String = inside
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let name = name.to_ascii_lowercase();
        let closing = rest.starts_with("</");
        rest = &rest[end + 1..];
        match name.as_str() {
            "script" | "style" if !closing => {
                rest = rest.find("</").map_or("", |end| &rest[end..]);
            }
            "p" | "br" | "div" | "li" | "tr" | "ul" | "ol" | "table" | "h1" | "h2" | "h3"
            | "h4" | "h5" | "h6" => out.push('\n'),
            "td" | "th" => out.push(' '),
            _ => {}
        }
    }
    decode(rest, &mut out);
    tidy(&out)
}

fn decode(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest.bytes().take(10).position(|byte| byte == b';');
        match end.and_then(|end| entity(&rest[1..end]).map(|c| (c, end))) {
            Some((c, end)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        return code.ok().and_then(char::from_u32);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "rsquo" => '’',
        "lsquo" => '‘',
        "rdquo" => '”',
        "ldquo" => '“',
        "euro" => '€',
        "pound" => '£',
        "copy" => '©',
        "reg" => '®',
        "trade" => '™',
        "deg" => '°',
        "times" => '×',
        _ => return None,
    })
}

/// One space between words, at most one empty line between paragraphs.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines() {
        let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.is_empty() {
            empty += 1;
            continue;
        }
        if !out.is_empty() {
            out.push_str(if empty > 0 { "\n\n" } else { "\n" });
        }
        empty = 0;
        out.push_str(&words);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::plain_text;

    #[test]
    fn html_becomes_text() {
        for (html, expect) in [
            ("plain", "plain"),
            ("<p>One</p><p>Two &amp; three</p>", "One\n\nTwo & three"),
            ("a<br>b<br/>c", "a\nb\nc"),
            ("<ul><li>x</li><li>y</li></ul>", "x\n\ny"),
            ("5 < 6 and 7 > 3", "5 < 6 and 7 > 3"),
            ("&#39;&#x20AC;&nbsp;&unknown;&", "'€ &unknown;&"),
            ("a<script>alert('<b>')</script>b", "ab"),
            ("a<!-- hidden -->b", "ab"),
            ("cut <off", "cut"),
            ("<b\nclass=\"x\">bold</b>", "bold"),
        ] {
            assert_eq!(plain_text(html), expect, "{html}");
        }
    }
}
