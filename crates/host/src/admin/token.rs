//! The operator token: 32 random bytes in a file that only the owner may read.
//!
//! It is created with the data folder, or brought by the operators in a file of theirs; compared in
//! constant time, and never printed: not by `Debug`, not in an error, not in a log.

use crate::limits::{TOKEN_FILE_BYTES_MAX, TOKEN_GIVEN_CHARS_MIN};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

/// In the data folder.
pub const FILE_NAME: &str = "operator.token";
const TOKEN_BYTES: usize = 32;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("cannot read the operator token {path:?}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot create the operator token {path:?}: {source}")]
    Create { path: PathBuf, source: io::Error },
    #[error("{path:?} may be read by others (mode {mode:o}): expected 600; `chmod 600` it")]
    Exposed { path: PathBuf, mode: u32 },
    #[error(
        "{path:?} holds no operator token: expected 32 bytes as base64url without padding; \
         remove it to have a new one made"
    )]
    Malformed { path: PathBuf },
    #[error(
        "{path:?} holds no token to send: expected one line of {TOKEN_GIVEN_CHARS_MIN} to \
         {TOKEN_FILE_BYTES_MAX} letters, digits, `-._~+/` and `=` at its end"
    )]
    NotToSend { path: PathBuf },
}

/// Proves that a request comes from an operator of this shop.
pub struct OperatorToken {
    text: String,
}

impl fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorToken(…)")
    }
}

impl OperatorToken {
    /// For the server: reads the folder's token, or makes one if there is none.
    pub fn load_or_create(data: &Path) -> Result<Self, TokenError> {
        let path = data.join(FILE_NAME);
        match Self::load(data) {
            Err(TokenError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(&path).map_err(|source| TokenError::Create { path, source })
            }
            loaded => loaded,
        }
    }

    /// For verbs that talk to a running server: reads the token, never makes one.
    pub fn load(data: &Path) -> Result<Self, TokenError> {
        let path = data.join(FILE_NAME);
        let Some(text) = read(&path)? else {
            return Err(TokenError::Malformed { path });
        };
        match URL_SAFE_NO_PAD.decode(&text) {
            Ok(bytes) if bytes.len() == TOKEN_BYTES => Ok(OperatorToken { text }),
            Ok(_) | Err(_) => Err(TokenError::Malformed { path }),
        }
    }

    /// A token that the operators made themselves: any that RFC 6750 lets a client send, unless it
    /// is short enough to be guessed.
    pub fn of_file(path: &Path) -> Result<Self, TokenError> {
        let may_stand = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        let fits = |text: &String| {
            let long = text.len() >= TOKEN_GIVEN_CHARS_MIN;
            long && text.trim_end_matches('=').chars().all(may_stand)
        };
        let path = path.to_owned();
        match read(&path)?.filter(fits) {
            Some(text) => Ok(OperatorToken { text }),
            None => Err(TokenError::NotToSend { path }),
        }
    }

    /// The text behind `Bearer`, for whoever sends requests. Not for logs.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.text
    }

    /// Whether the value of an `Authorization` header carries this token.
    #[must_use]
    pub fn admits(&self, authorization: &[u8]) -> bool {
        let Some((scheme, given)) = authorization.split_at_checked("Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(given.ct_eq(self.text.as_bytes()))
    }
}

/// The text of a file that nobody else may read; `None` if it is no text, or too much.
fn read(path: &Path) -> Result<Option<String>, TokenError> {
    let read = File::open(path).and_then(|file| {
        let mode = file.metadata()?.mode() & 0o777;
        let mut text = String::new();
        file.take(TOKEN_FILE_BYTES_MAX + 2)
            .read_to_string(&mut text)?;
        Ok((mode, text))
    });
    match read {
        Ok((mode, _)) if mode & 0o077 != 0 => Err(TokenError::Exposed {
            path: path.to_owned(),
            mode,
        }),
        Ok((_, text)) => {
            let text = text.trim_end();
            Ok((text.len() as u64 <= TOKEN_FILE_BYTES_MAX).then(|| text.to_owned()))
        }
        Err(e) if e.kind() == io::ErrorKind::InvalidData => Ok(None),
        Err(source) => Err(TokenError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Written whole, then given its name: a token is never seen half, and never replaced.
fn create(path: &Path) -> io::Result<OperatorToken> {
    let mut random = [0; TOKEN_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let text = URL_SAFE_NO_PAD.encode(random);
    let beside = path.with_extension(format!("token.{}", std::process::id()));
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    let named = std::fs::hard_link(&beside, path);
    std::fs::remove_file(&beside)?;
    named.map(|()| OperatorToken { text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn made_once_then_read_again() {
        let data = tempfile::tempdir().unwrap();
        let made = OperatorToken::load_or_create(data.path()).unwrap();
        let again = OperatorToken::load_or_create(data.path()).unwrap();
        assert_eq!(made.secret(), again.secret());
        assert_eq!(made.secret().len(), 43);
        let mode = fs::metadata(data.path().join(FILE_NAME)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert_eq!(
            fs::read_dir(data.path()).unwrap().count(),
            1,
            "nothing left beside it"
        );
        let other = tempfile::tempdir().unwrap();
        let other = OperatorToken::load_or_create(other.path()).unwrap();
        assert_ne!(made.secret(), other.secret());
    }

    #[test]
    fn only_the_whole_token_is_admitted_and_never_shown() {
        let data = tempfile::tempdir().unwrap();
        let token = OperatorToken::load_or_create(data.path()).unwrap();
        let s = token.secret();
        let cases = [
            (format!("Bearer {s}"), true),
            (format!("bearer {s}"), true),
            (format!("Bearer {}", &s[1..]), false),
            (format!("Bearer {s}x"), false),
            (format!("Basic {s}"), false),
            (s.to_owned(), false),
            ("Bearer ".into(), false),
            (String::new(), false),
        ];
        for (value, admitted) in cases {
            assert_eq!(token.admits(value.as_bytes()), admitted, "{value:?}");
        }
        assert!(!format!("{token:?}").contains(s));
    }

    #[test]
    fn operators_bring_a_token_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("team.token");
        let put = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            OperatorToken::of_file(&path)
        };
        let long = "a".repeat(TOKEN_FILE_BYTES_MAX as usize);
        let good = "kubectl-made_~+/0123456789.token==";
        for text in [good, &format!("{good}\n"), &long, &format!("{long}\r\n")] {
            let token = put(text, 0o400).unwrap();
            assert!(token.admits(format!("Bearer {}", text.trim_end()).as_bytes()));
        }
        let longer = format!("{long}a");
        let two = format!("{good}\n{good}");
        let short = "a".repeat(TOKEN_GIVEN_CHARS_MIN - 1);
        for bad in ["", &short, &longer, &two, &good.replace('~', " ")] {
            let refused = put(bad, 0o600).unwrap_err();
            let text = refused.to_string();
            assert!(matches!(refused, TokenError::NotToSend { .. }), "{bad:?}");
            assert!(bad.is_empty() || !text.contains(bad), "{text}");
        }
        assert!(matches!(
            put(good, 0o644),
            Err(TokenError::Exposed { mode: 0o644, .. })
        ));
        let nowhere = OperatorToken::of_file(&folder.path().join("none"));
        assert!(matches!(nowhere, Err(TokenError::Read { .. })));
    }

    #[test]
    fn a_file_that_is_no_token_or_open_to_others_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let missing = OperatorToken::load(data.path()).unwrap_err();
        assert!(matches!(missing, TokenError::Read { .. }), "{missing:?}");
        let made = OperatorToken::load_or_create(data.path()).unwrap();
        let path = data.path().join(FILE_NAME);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let exposed = OperatorToken::load_or_create(data.path()).unwrap_err();
        assert!(
            matches!(exposed, TokenError::Exposed { mode: 0o640, .. }),
            "{exposed:?}"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bad in [
            &b"short"[..],
            b"",
            b"\xff\xfe",
            &made.secret().as_bytes()[1..],
        ] {
            fs::write(&path, bad).unwrap();
            let refused = OperatorToken::load_or_create(data.path()).unwrap_err();
            assert!(
                matches!(refused, TokenError::Malformed { .. }),
                "{bad:?}: {refused:?}"
            );
        }
    }
}
