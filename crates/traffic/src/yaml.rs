//! Files that people write for us, read strictly: unknown keys are problems, with their lines. It
//! must not know what a file says.

use crate::error::Problems;
use crate::limits::RULES_BYTES_MAX;
use serde::de::DeserializeOwned;

pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problems> {
    if text.len() as u64 > RULES_BYTES_MAX {
        return Err(Problems(vec![format!("more than {RULES_BYTES_MAX} bytes")]));
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(0, |place| place.line());
        let said = error.without_snippet().to_string();
        let first = said.lines().next().unwrap_or_default();
        Problems(vec![format!("line {line}: {first}")])
    })
}

/// `GET /products/{sku}` as method and path.
pub(crate) fn endpoint(text: &str) -> Result<(&str, crate::template::Pattern), String> {
    let wrong = || format!("endpoint {text:?}: expected METHOD /path, such as GET /products/{{n}}");
    let (method, path) = text.trim().split_once(' ').ok_or_else(wrong)?;
    if !crate::seen::is_method(method) {
        return Err(wrong());
    }
    Ok((method, crate::template::Pattern::parse(path.trim())?))
}
